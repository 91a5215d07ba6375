// What samples keep on the device between the steps of their programs, one row each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/device.h"
#include "engine/network.h"
#include "sampling/request.h"

namespace dpm {

class Registers {
 public:
  /// Registers of `rows` samples; `y` and `history` past predictions, of zeros, only where a program uses them.
  Registers(Device& device, const NetworkShape& shape, std::uint32_t rows, bool y, std::uint32_t history);

  [[nodiscard]] std::uint32_t rows() const { return rows_; }
  /// Slices of noise that were given for every sample.
  [[nodiscard]] std::uint32_t noise_records() const { return noise_records_; }
  [[nodiscard]] bool has_noise() const { return noise_ != nullptr; }

  /// The states, [rows][image].
  void write(const float* states);
  /// The slices of samples `first` to `first` + rows of noise for `samples` samples, [records][samples][image].
  void write_noise(const std::vector<float>& noise, std::uint64_t samples, std::uint64_t first);
  /// The tensors of a fused update, without its samples; the second output is the network's, or what lies behind its
  /// prediction.
  [[nodiscard]] dpm_update views() const;
  /// The states into `images` from element `first` on: as floats or as 8-bit levels.
  void download(RunImages& images, std::uint64_t first, bool levels) const;

 private:
  [[nodiscard]] std::shared_ptr<Buffer> allocated(std::uint64_t elements) const;
  [[nodiscard]] std::shared_ptr<Buffer> zeroed() const;

  Device& device_;
  const NetworkShape shape_;
  const std::uint32_t rows_;
  std::uint32_t noise_records_ = 0;
  std::shared_ptr<Buffer> x_, y_, out_, head_, noise_;
  std::vector<std::shared_ptr<Buffer>> history_;
};

}  // namespace dpm
