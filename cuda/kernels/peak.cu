#include "cuda/kernels/peak.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 256;
/// Number of chains that do not wait for each other; enough to fill the pipeline.
constexpr int kChains = 8;

__global__ void __launch_bounds__(kThreads) peak_kernel(float* sink, int repeats) {
  float chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = static_cast<float>(threadIdx.x + static_cast<unsigned>(i));
  const float factor = 0.999F;
  for (int r = 0; r < repeats; ++r) {
    for (std::uint64_t k = 0; k < kPeakMultiplyAdds / kChains; ++k) {
      for (float& value : chain) value = value * factor + 0.5F;
    }
  }
  float sum = 0;
  for (const float value : chain) sum += value;
  sink[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

}  // namespace

double multiply_add_peak(float* sink, unsigned blocks, int repeats, cudaStream_t stream) {
  DPM_LAUNCH(peak_kernel, dim3(blocks), dim3(kThreads), stream, sink, repeats);
  return static_cast<double>(kPeakMultiplyAdds) * repeats * blocks * kThreads;
}

}  // namespace dpm::cuda
