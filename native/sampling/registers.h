// State of samples on the device between the steps of their programs, one row each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/device.h"
#include "engine/network.h"
#include "sampling/request.h"

namespace dpm {

/// The second output of a network: its head, or the channels behind its prediction; absent where there is neither.
dpm_view second_output(const NetworkShape& shape, const dpm_view& out, const dpm_view& head);

class Registers {
 public:
  /// Allocates states and predictions of `rows` samples, with undefined contents.
  Registers(Device& device, const NetworkShape& shape, std::uint32_t rows);

  /// Makes y and `history` past predictions available; new ones are zero.
  void provide(bool y, std::uint32_t history);
  /// Allocates one slice of given noise per row.
  void provide_noise();

  /// Sets y and the first `history` past predictions of a row to 0, where they exist.
  void clear(std::uint32_t row, std::uint32_t history);
  /// Writes the states of `rows` rows from `first` on.
  void write(std::uint32_t first, std::uint32_t rows, const float* states);
  void read(std::uint32_t first, std::uint32_t rows, float* states) const;
  /// Writes the one slice of noise of a row.
  void write_noise(std::uint32_t row, const float* slice);
  /// The tensors of a fused update, without its samples; with noise where it is allocated.
  [[nodiscard]] dpm_update views() const;
  /// Waits for all work that was queued on the device.
  void wait() const;
  /// Begins to copy the states of `rows` rows from `first` on to the host, on devices that have transfers.
  [[nodiscard]] std::unique_ptr<Transfer> transfer(std::uint32_t first, std::uint32_t rows, bool as_levels) const;
  /// Copies the states of `rows` rows, from `first` on, to element `to` of `images`, in the form that `images` has.
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

/// Copies rows of a buffer of images, [rows][image], to element `to` of `images`, in the form that `images` has.
void download_rows(const Buffer& buffer, std::uint64_t image, std::uint32_t first, std::uint32_t rows,
                   RunImages& images, std::uint64_t to);

}  // namespace dpm
