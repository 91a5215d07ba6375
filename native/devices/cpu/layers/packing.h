// The packing of a network's weights, which its device's other networks share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "backend/constant.h"
#include "devices/cpu/device.h"

namespace dpm::cpu {

/// Weights in the order in which a layer reads them.
using Packed = std::shared_ptr<const CountedBuffer>;

/// Orders of packing. Constants that are packed in the same order have the same numbers on a device.
enum class WeightOrder : std::uint8_t {
  kVectors,   ///< one after the other, as they are
  kPixels,    ///< a number per channel and pixel, channels adjacent
  kPanels,    ///< PackedWeights::Form::kPlain
  kWinograd,  ///< PackedWeights::Form::kWinograd
  kBf16,      ///< Bf16Weights
};

/// Packs weights of a graph, or finds them packed.
class Packing {
 public:
  Packing(Device& device, const dpm_graph& graph) : device_(device), graph_(graph) { device.weights.forget_released(); }

  /// Returns `count` constants as `pack(float* to)` writes them into `bytes` bytes of memory.
  template <typename Pack>
  Packed get(WeightOrder order, const std::int32_t* constants, std::uint32_t count, std::size_t bytes,
             const Pack& pack) {
    read_bytes_ += bytes;
    return device_.weights.get({static_cast<std::uint64_t>(order)}, graph_, constants, count, [&] {
      CountedBuffer memory(device_.memory, bytes);
      pack(memory.floats());
      return memory;
    });
  }

  /// Returns vectors, one after the other.
  [[nodiscard]] Packed vectors(const std::int32_t* constants, std::uint32_t count) {
    std::size_t total = 0;
    for (std::uint32_t i = 0; i < count; ++i) total += element_count(graph_.constants[constants[i]]);
    return get(WeightOrder::kVectors, constants, count, total * sizeof(float), [&](float* to) {
      for (std::uint32_t i = 0; i < count; ++i) {
        const ConstantElements elements(graph_.constants[constants[i]]);
        to = std::copy_n(elements.floats(), elements.size(), to);
      }
    });
  }

  /// Bytes of the weights that the network's layers read in an evaluation.
  [[nodiscard]] std::uint64_t read_bytes() const { return read_bytes_; }

 private:
  Device& device_;
  const dpm_graph& graph_;
  std::uint64_t read_bytes_ = 0;
};

}  // namespace dpm::cpu
