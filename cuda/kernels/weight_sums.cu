#include "cuda/kernels/weight_sums.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads) weight_sums_kernel(WeightSumsArguments<T> a, std::int64_t elements) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= elements) return;
  const std::int64_t row = i / a.in_channels;
  const std::int64_t c = i - row * a.in_channels;
  const std::int64_t out = row / a.taps;
  const std::int64_t tap = row - out * a.taps;
  const T* part = a.parts + row * a.padded_channels + c;
  float sum = 0.0F;
  for (int k = 0; k < a.count; ++k) sum += to_float(part[k * a.part_stride]);
  a.sum[(out * a.in_channels + c) * a.taps + tap] += sum;
}

}  // namespace

template <typename T>
void add_weight_sums(const WeightSumsArguments<T>& arguments, cudaStream_t stream) {
  const std::int64_t elements = std::int64_t{arguments.out_channels} * arguments.taps * arguments.in_channels;
  const dim3 grid(static_cast<unsigned>((elements + kThreads - 1) / kThreads));
  DPM_LAUNCH(weight_sums_kernel<T>, grid, dim3(kThreads), stream, arguments, elements);
}

template void add_weight_sums(const WeightSumsArguments<float>&, cudaStream_t);
template void add_weight_sums(const WeightSumsArguments<Half>&, cudaStream_t);
template void add_weight_sums(const WeightSumsArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
