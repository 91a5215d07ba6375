#include "cuda/kernels/update.h"
#include "cuda/kernels/update_element.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 256;

template <bool Whole>
__global__ void __launch_bounds__(kThreads) update_kernel(UpdateArguments arguments) {
  __shared__ UpdateSample sample;
  load_sample(sample, arguments.samples[blockIdx.y]);
  const std::uint64_t first = (static_cast<std::uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kQuad;
  if (first >= arguments.elements) return;
  const std::uint64_t left = arguments.elements - first;
  const int count = left < kQuad ? static_cast<int>(left) : kQuad;
  const float threshold = sample.record.clip == DPM_CLIP_DYNAMIC ? arguments.thresholds[blockIdx.y] : 0.0F;
  const Element4<Whole, true> element{arguments, sample, first, count};
  element.run(threshold, PredictionRows<Element4<Whole, true>>{element});
}

}  // namespace

void update(const UpdateArguments& arguments, cudaStream_t stream) {
  constexpr std::uint64_t kElements = std::uint64_t{kThreads} * kQuad;
  const dim3 grid(static_cast<unsigned>((arguments.elements + kElements - 1) / kElements), arguments.batch);
  if (is_whole(arguments)) {
    DPM_LAUNCH(update_kernel<true>, grid, dim3(kThreads), stream, arguments);
  } else {
    DPM_LAUNCH(update_kernel<false>, grid, dim3(kThreads), stream, arguments);
  }
}

}  // namespace dpm::cuda
