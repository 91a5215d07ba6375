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

  /// Makes y and `history` past predictions available, of zeros where they are new.
  void provide(bool y, std::uint32_t history);
  /// Makes room for one slice of given noise per row.
  void provide_noise();

  /// Sets y and the first `history` past predictions of a row to 0, where there are any.
  void clear(std::uint32_t row, std::uint32_t history);
  /// The states of `rows` rows from `first` on.
  void write(std::uint32_t first, std::uint32_t rows, const float* states);
  void read(std::uint32_t first, std::uint32_t rows, float* states) const;
  /// The one slice of noise of a row.
  void write_noise(std::uint32_t row, const float* slice);
  /// The tensors of a fused update, without its samples; noise where there is room for it.
  [[nodiscard]] dpm_update views() const;
  /// Waits until everything that has been asked of the device is done.
  void wait() const;
  /// Begins to bring the states of `rows` rows from `first` on to the host, on devices that have transfers.
  [[nodiscard]] std::unique_ptr<Transfer> transfer(std::uint32_t first, std::uint32_t rows, bool as_levels) const;
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
