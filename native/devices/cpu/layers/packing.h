// The packing of a network's weights, which its device's other networks share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/constant.h"
#include "devices/cpu/device.h"
#include "devices/cpu/layers/weight_elements.h"

namespace dpm::cpu {

/// Weights in the order in which a layer reads them.
using Packed = std::shared_ptr<const PackedBuffer>;

/// Orders of packing. Constants that are packed in the same order have the same numbers on a device.
enum class WeightOrder : std::uint8_t {
  kVectors,   ///< one after the other, as they are
  kPixels,    ///< a number per channel and pixel, channels adjacent
  kPanels,    ///< PackedWeights::Form::kPlain
  kWinograd,  ///< PackedWeights::Form::kWinograd
  kBf16,      ///< Bf16Weights
};

/// Writes constants, given one by one, in the order of a packing. Where weights move it is kept and called again, so it
/// may not refer to what lives during loading only.
using Pack = std::function<void(std::span<const WeightElements> constants, float* to)>;

/// Packed weights with a place among the parameters of a training run, to be packed from there again.
struct MovingWeights {
  std::shared_ptr<PackedBuffer> packed;
  std::vector<dpm_constant> constants;  ///< their dimensions and places alone
  Pack pack;

  /// Packs the weights from `parameters`.
  void pack_from(const float* parameters) const;
  /// Packs them unless they have been of this version already.
  void repack(const float* parameters, std::uint64_t version) const;
};

/// Returns whether a constant has a place among the parameters of a training run.
inline bool moves(const dpm_constant& constant) { return constant.parameter.kind != DPM_PARAMETER_NONE; }

/// Packs weights of a graph, or finds them packed.
class Packing {
 public:
  Packing(Device& device, const dpm_graph& graph) : device_(device), graph_(graph) { device.weights.forget_released(); }

  /// Returns `count` constants as `pack` writes them into `bytes` bytes of memory. Kernels that move are packed on the
  /// stage, because a training run has several tensors of their size already, and reads each once between two steps.
  /// Throws Error(kUnsupported) where some of them move and others stay.
  Packed get(WeightOrder order, const std::int32_t* constants, std::uint32_t count, std::size_t bytes, Pack pack);
  /// Returns vectors, one after the other.
  [[nodiscard]] Packed vectors(const std::int32_t* constants, std::uint32_t count);

  /// Bytes of the weights that the network's layers read in an evaluation.
  [[nodiscard]] std::uint64_t read_bytes() const { return read_bytes_; }
  /// Returns the weights so far that move and have memory of their own.
  [[nodiscard]] std::vector<MovingWeights> take_moving() { return std::move(moving_); }
  /// Returns the weights of the layer made last that are packed on the stage, without `packed` where it has none.
  [[nodiscard]] MovingWeights take_staged() { return std::exchange(staged_, {}); }
  /// Gives the stage its memory, as much as the largest weights on it take.
  void allocate_stage() { *stage_ = CountedBuffer(device_.memory, stage_bytes_); }

 private:
  /// Returns whether constants move.
  [[nodiscard]] bool move(std::span<const std::int32_t> constants) const;
  [[nodiscard]] Packed stage(std::span<const std::int32_t> constants, std::size_t bytes, Pack pack);
  [[nodiscard]] std::vector<dpm_constant> places_of(std::span<const std::int32_t> constants) const;

  Device& device_;
  const dpm_graph& graph_;
  /// Memory of the constants that are packed together.
  std::deque<ReadMemory> reading_;
  std::uint64_t read_bytes_ = 0;
  std::vector<MovingWeights> moving_;
  MovingWeights staged_;
  std::shared_ptr<CountedBuffer> stage_ = std::make_shared<CountedBuffer>();
  std::size_t stage_bytes_ = 0;
};

}  // namespace dpm::cpu
