#include "cuda/kernels/adjoint_weights.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads)
    adjoint_weights_kernel(const T* weights, WeightShape shape, T* adjoint, std::int64_t elements) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= elements) return;
  const std::int64_t row = i / shape.out_channels;
  const std::int64_t out = i - row * shape.out_channels;
  const std::int64_t in = row / shape.taps;
  const std::int64_t tap = shape.taps - 1 - (row - in * shape.taps);
  adjoint[i] = weights[(out * shape.taps + tap) * shape.in_channels + in];
}

}  // namespace

template <typename T>
void adjoint_weights(const T* weights, const WeightShape& shape, T* adjoint, cudaStream_t stream) {
  const std::int64_t elements = std::int64_t{shape.out_channels} * shape.taps * shape.in_channels;
  const dim3 grid(static_cast<unsigned>((elements + kThreads - 1) / kThreads));
  constexpr auto kKernel = adjoint_weights_kernel<T>;
  DPM_LAUNCH(kKernel, grid, dim3(kThreads), stream, weights, shape, adjoint, elements);
}

template void adjoint_weights(const float*, const WeightShape&, float*, cudaStream_t);
template void adjoint_weights(const Half*, const WeightShape&, Half*, cudaStream_t);
template void adjoint_weights(const Bfloat16*, const WeightShape&, Bfloat16*, cudaStream_t);

}  // namespace dpm::cuda
