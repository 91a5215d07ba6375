#include "cuda/kernels/repack_weights.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads) repack_weights_kernel(RepackWeightsArguments<T> a, std::int64_t elements) {
  const std::int64_t element = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (element >= elements) return;
  const std::int64_t row = element / a.inputs;
  const std::int64_t i = element - row * a.inputs;
  const std::int64_t o = row / a.taps;
  const std::int64_t tap = row - o * a.taps;
  const std::int64_t place =
      a.is_transposed ? (i * a.outputs + o) * a.taps + a.taps - 1 - tap : (o * a.inputs + i) * a.taps + tap;
  const float weight = a.source[place];
  T* target = a.target + row * a.padded_inputs + i;
  const T stored = from_float<T>(weight);
  target[0] = stored;
  if (!a.is_split) return;
  target[a.inputs] = stored;
  target[2 * a.inputs] = from_float<T>(weight - to_float(stored));
}

}  // namespace

template <typename T>
void repack_weights(const RepackWeightsArguments<T>& arguments, cudaStream_t stream) {
  const std::int64_t elements = std::int64_t{arguments.outputs} * arguments.taps * arguments.inputs;
  const dim3 grid(static_cast<unsigned>((elements + kThreads - 1) / kThreads));
  DPM_LAUNCH(repack_weights_kernel<T>, grid, dim3(kThreads), stream, arguments, elements);
}

template void repack_weights(const RepackWeightsArguments<float>&, cudaStream_t);
template void repack_weights(const RepackWeightsArguments<Half>&, cudaStream_t);
template void repack_weights(const RepackWeightsArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
