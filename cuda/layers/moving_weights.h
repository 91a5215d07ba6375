// Packed weights that are packed again from the parameters of a training run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "core/dtype.h"
#include "cuda/device/device.h"

namespace dpm::cuda {

/// Returns whether a constant has a place among the parameters of a training run.
inline bool moves(const dpm_constant& constant) { return constant.parameter.kind != DPM_PARAMETER_NONE; }

/// A constant [outputs][inputs][taps] that is packed as [outputs][taps][padded_inputs].
struct PackedPart {
  dpm_parameter parameter;
  int outputs = 1;
  int inputs = 1;
  int taps = 1;
  int padded_inputs = 1;
  bool is_split = false;  ///< tells whether split_weights follows
};

struct MovingWeights {
  std::shared_ptr<PackedWeights> packed;
  DType dtype = DType::kFloat32;
  std::vector<PackedPart> parts;  ///< constants, packed one after the other

  /// Returns whether the weights have been packed from the parameters of this version.
  [[nodiscard]] bool is_of(std::uint64_t version) const { return packed->version == version; }
  /// Queues the packing from `parameters`.
  void repack(const float* parameters, cudaStream_t stream) const;
};

}  // namespace dpm::cuda
