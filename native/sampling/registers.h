// What samples keep on the device between the steps of their programs, one row each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/device.h"
#include "engine/network.h"
#include "sampling/request.h"

namespace dpm {

/// The second output of a network: its head, or what lies behind its prediction; absent where there is neither.
dpm_view second_output(const NetworkShape& shape, const dpm_view& out, const dpm_view& head);

class Registers {
 public:
  /// States and predictions of `rows` samples, which hold anything.
  Registers(Device& device, const NetworkShape& shape, std::uint32_t rows);

  [[nodiscard]] std::uint32_t rows() const { return rows_; }

  /// Makes y and `history` past predictions available, of zeros where they are new.
  void provide(bool y, std::uint32_t history);
  /// Makes room for one slice of given noise per row.
  void provide_noise();
  /// Holds all slices instead that samples `first` to `first` + rows of `samples` have in `noise`,
  /// [records][samples][image]: slice r of a row is row r * rows() + row.
  void provide_noise(const std::vector<float>& noise, std::uint64_t samples, std::uint64_t first);

  /// Sets y and the first `history` past predictions of a row to 0, where there are any.
  void clear(std::uint32_t row, std::uint32_t history);
  /// The states of `rows` rows from `first` on.
  void write(std::uint32_t first, std::uint32_t rows, const float* states);
  /// The one slice of noise of a row.
  void write_noise(std::uint32_t row, const float* slice);
  /// The tensors of a fused update, without its samples; noise where there is room for it.
  [[nodiscard]] dpm_update views() const;
  /// Waits until everything that has been asked of the device is done.
  void wait() const;
  /// Begins to bring the state of a row to the host, on devices that have transfers.
  [[nodiscard]] std::unique_ptr<Transfer> transfer(std::uint32_t row, bool as_levels) const;
  /// The states of `rows` rows from `first` on into `images` from element `to` on, in the form that these have.
  void download(std::uint32_t first, std::uint32_t rows, RunImages& images, std::uint64_t to) const;

 private:
  [[nodiscard]] std::shared_ptr<Buffer> allocated(std::uint64_t elements) const;
  [[nodiscard]] std::shared_ptr<Buffer> zeroed() const;
  [[nodiscard]] std::uint64_t row_bytes() const { return shape_.image * sizeof(float); }

  Device& device_;
  const NetworkShape shape_;
  const std::uint32_t rows_;
  std::shared_ptr<Buffer> x_, y_, out_, head_, noise_;
  std::vector<std::shared_ptr<Buffer>> history_;
};

/// Rows of a buffer of images, [rows][image], into `images` from element `to` on.
void download_rows(const Buffer& buffer, std::uint64_t image, std::uint32_t first, std::uint32_t rows,
                   RunImages& images, std::uint64_t to);

}  // namespace dpm
