// The layout of a convolution's operands as one sequence of rows.
#pragma once

#include <cstddef>
#include <vector>

#include "devices/cpu/bf16/kernels.h"
#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

/// All images of a batch as one sequence of positions, so that the sums of 32 neighbouring positions are one product
/// per tap: rows of `pitch` positions, `image_rows` rows an image. The zero columns after a row also serve as those
/// before the next one; zero rows likewise. With a stride the input is cut into its phases, each on the output's grid.
class Bf16Grid {
 public:
  /// A phase of the input: its pixels (stride * y + row, stride * x + column).
  struct Phase {
    int row;
    int column;
  };
  /// A tap of the kernel: the phase it reads and its place on the grid, relative to the output's.
  struct Tap {
    int phase;
    int row;
    int column;
  };

  Bf16Grid(const dpm_convolution_attributes& how, const dpm_value& in, const dpm_value& out) : out_height_(out.height) {
    const int zoom = how.upsample != 0 ? 2 : 1;
    const int stride = how.stride;
    before_ = divide_up(how.pad_before, stride);
    after_ = std::max(0, (how.kernel - 1 - how.pad_before) / stride);
    pitch_ = std::max(divide_up(in.width * zoom, stride) + before_, out.width + after_);
    image_rows_ = std::max(divide_up(in.height * zoom, stride) + before_, out.height + after_);
    for (int y = 0; y < how.kernel; ++y) {
      for (int x = 0; x < how.kernel; ++x) {
        const int row = before_ * stride + y - how.pad_before;
        const int column = before_ * stride + x - how.pad_before;
        taps_.push_back(
            {phase_index({row % stride, column % stride}), row / stride - before_, column / stride - before_});
      }
    }
  }

  [[nodiscard]] int before() const { return before_; }
  [[nodiscard]] int after() const { return after_; }
  [[nodiscard]] int pitch() const { return pitch_; }
  [[nodiscard]] int image_rows() const { return image_rows_; }
  [[nodiscard]] const std::vector<Phase>& phases() const { return phases_; }
  [[nodiscard]] const std::vector<Tap>& taps() const { return taps_; }

  /// Number of rows of `batch` images, without the zero rows after the last.
  [[nodiscard]] int rows(int batch) const { return (batch - 1) * image_rows_ + out_height_; }
  /// Number of positions to lay out for `rows` rows: theirs, those that taps reach, and those that the last tile reads
  /// beyond.
  [[nodiscard]] std::size_t positions(int rows) const {
    return static_cast<std::size_t>(rows + before_ + after_) * static_cast<std::size_t>(pitch_) +
           static_cast<std::size_t>(before_ + after_ + kBf16Rows);
  }
  /// Index of the first output position among the laid-out positions.
  [[nodiscard]] std::ptrdiff_t origin() const { return static_cast<std::ptrdiff_t>(before_) * pitch_ + before_; }

 private:
  int phase_index(Phase wanted) {
    for (std::size_t i = 0; i < phases_.size(); ++i) {
      if (phases_[i].row == wanted.row && phases_[i].column == wanted.column) return static_cast<int>(i);
    }
    phases_.push_back(wanted);
    return static_cast<int>(phases_.size()) - 1;
  }

  int out_height_;
  int before_ = 0;
  int after_ = 0;
  int pitch_ = 0;
  int image_rows_ = 0;
  std::vector<Phase> phases_;
  std::vector<Tap> taps_;
};

}  // namespace dpm::cpu
