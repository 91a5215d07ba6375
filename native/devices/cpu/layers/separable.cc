// Products of a map with a matrix on either axis: rows are combined first, then the elements of each row.
#include <algorithm>
#include <vector>

#include "devices/cpu/layers/pixel_blocks.h"

namespace dpm::cpu {
namespace {

class Separable : public Layer {
 public:
  Separable(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        in_(factory.values[input_of(node, 0)].shape),
        out_(factory.values[output_of(node)].shape),
        matrices_(factory.packing.vectors(node.weights, 2)),
        rows_(spans_of(matrices_->floats(), out_.height, in_.height)),
        columns_(spans_of(matrices_->floats() + static_cast<std::ptrdiff_t>(out_.height) * in_.height, out_.width,
                          in_.width)) {}

  /// Number of scratch floats: maps as high as the result and as wide as the input.
  [[nodiscard]] std::size_t scratch(int batch, int /*threads*/) const override {
    return static_cast<std::size_t>(batch) * static_cast<std::size_t>(out_.height) * row_floats();
  }

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    for_samples(context, [&](ThreadPool& pool, Range samples) {
      for_rows(pool, samples, [&](int n, int y) { combine_rows(in, n, y, row(context, n, y)); });
      for_rows(pool, samples, [&](int n, int y) { combine_pixels(row(context, n, y), out, n, y); });
    });
  }

 private:
  [[nodiscard]] std::size_t row_floats() const {
    return static_cast<std::size_t>(in_.width) * static_cast<std::size_t>(in_.channels);
  }
  [[nodiscard]] float* row(const RunContext& context, int n, int y) const {
    const auto index =
        static_cast<std::size_t>(n) * static_cast<std::size_t>(out_.height) + static_cast<std::size_t>(y);
    return context.scratch + index * row_floats();
  }

  template <typename Body>
  void for_rows(ThreadPool& pool, Range samples, const Body& body) const {
    pool.parallel_for(
        static_cast<std::int64_t>(samples.last - samples.first) * out_.height, [&](std::int64_t task, int /*thread*/) {
          body(samples.first + static_cast<int>(task / out_.height), static_cast<int>(task % out_.height));
        });
  }

  void combine_rows(const MapView& in, int n, int y, float* to) const {
    const float* factors = matrices_->floats() + static_cast<std::ptrdiff_t>(y) * in_.height;
    std::fill_n(to, row_floats(), 0.0F);
    for (int i = rows_[y].first; i < rows_[y].last; ++i) {
      const float* from = in.sample(n) + static_cast<std::ptrdiff_t>(i) * in.width * in.pixel_stride;
      if (in.pixel_stride == in_.channels) {
        add_scaled(factors[i], from, to, in.width * in_.channels);
        continue;
      }
      for (int x = 0; x < in.width; ++x) {
        add_scaled(factors[i], from + x * in.pixel_stride, to + static_cast<std::ptrdiff_t>(x) * in_.channels,
                   in_.channels);
      }
    }
  }

  void combine_pixels(const float* from, const MapView& out, int n, int y) const {
    const float* factors = matrices_->floats() + static_cast<std::ptrdiff_t>(out_.height) * in_.height;
    for (int x = 0; x < out_.width; ++x, factors += in_.width) {
      float* to = out.sample(n) + (static_cast<std::ptrdiff_t>(y) * out_.width + x) * out.pixel_stride;
      std::fill_n(to, out_.channels, 0.0F);
      for (int j = columns_[x].first; j < columns_[x].last; ++j) {
        add_scaled(factors[j], from + static_cast<std::ptrdiff_t>(j) * in_.channels, to, in_.channels);
      }
    }
  }

  static void add_scaled(float factor, const float* __restrict from, float* __restrict to, int count) {
    if (factor == 0.0F) return;
    for (int i = 0; i < count; ++i) to[i] += factor * from[i];
  }

  /// Returns where each row of a matrix is not zero: those that select, repeat or filter are zero nearly everywhere.
  static std::vector<Range> spans_of(const float* matrix, int rows, int columns) {
    std::vector<Range> spans;
    for (int row = 0; row < rows; ++row, matrix += columns) {
      int first = 0;
      int last = columns;
      while (first < last && matrix[first] == 0.0F) ++first;
      while (last > first && matrix[last - 1] == 0.0F) --last;
      spans.push_back({first, last});
    }
    return spans;
  }

  Operands operands_;
  dpm_value in_;
  dpm_value out_;
  Packed matrices_;
  std::vector<Range> rows_;
  std::vector<Range> columns_;
};

}  // namespace

std::unique_ptr<Layer> make_separable(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<Separable>(factory, node);
}

}  // namespace dpm::cpu
