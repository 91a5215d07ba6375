#include "cuda/layers/moving_weights.h"

#include "cuda/kernels/repack_weights.h"

namespace dpm::cuda {

void MovingWeights::repack(const float* parameters, cudaStream_t stream) const {
  with_storage(dtype, [&](auto type) {
    using T = decltype(type);
    T* target = packed->as<T>();
    for (const PackedPart& part : parts) {
      const bool is_transposed = part.parameter.kind == DPM_PARAMETER_TRANSPOSED;
      repack_weights<T>({parameters + part.parameter.offset, target, part.outputs, part.taps, part.inputs,
                         part.padded_inputs, part.is_split, is_transposed},
                        stream);
      target += std::int64_t{part.outputs} * part.taps * part.padded_inputs;
    }
  });
}

}  // namespace dpm::cuda
