#include <algorithm>
#include <cstdint>

#include "backend/optimize_math.h"
#include "cuda/kernels/optimize.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 256;
/// More blocks would find nothing to do on the largest GPUs.
constexpr std::uint64_t kMostBlocks = 4096;

__global__ void __launch_bounds__(kThreads) optimize_kernel(OptimizeArguments a) {
  const std::uint64_t step = std::uint64_t{gridDim.x} * kThreads;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * kThreads + threadIdx.x; i < a.how.elements; i += step) {
    const optimize::Element next =
        optimize::step(a.how, {a.parameters[i], a.gradients[i], a.first_moments[i], a.second_moments[i], a.average[i]});
    a.parameters[i] = next.parameter;
    a.gradients[i] = next.gradient;
    a.first_moments[i] = next.first_moment;
    a.second_moments[i] = next.second_moment;
    a.average[i] = next.average;
  }
}

}  // namespace

void optimize(const OptimizeArguments& arguments, cudaStream_t stream) {
  const std::uint64_t blocks = std::min(kMostBlocks, (arguments.how.elements + kThreads - 1) / kThreads);
  if (blocks == 0) return;
  DPM_LAUNCH(optimize_kernel, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), stream, arguments);
}

}  // namespace dpm::cuda
