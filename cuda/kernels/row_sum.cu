#include "cuda/kernels/row_sum.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 128;

template <typename T>
__global__ void __launch_bounds__(kThreads) row_sum_kernel(RowSumArguments<T> a, std::int64_t elements) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= elements) return;
  const std::int64_t pixel = i / a.channels;
  const std::int64_t c = i - pixel * a.channels;
  const T* x = a.x.data + pixel * a.x.pixel_stride + c;
  double sum = 0;
  for (int n = 0; n < a.rows; ++n) sum += static_cast<double>(to_float(x[n * a.x.sample_stride]));
  float& target = a.sum[c * a.pixels + pixel];
  target = static_cast<float>(static_cast<double>(target) + sum);
}

}  // namespace

template <typename T>
void row_sum(const RowSumArguments<T>& arguments, cudaStream_t stream) {
  const std::int64_t elements = std::int64_t{arguments.pixels} * arguments.channels;
  const dim3 grid(static_cast<unsigned>((elements + kThreads - 1) / kThreads));
  DPM_LAUNCH(row_sum_kernel<T>, grid, dim3(kThreads), stream, arguments, elements);
}

template void row_sum(const RowSumArguments<float>&, cudaStream_t);
template void row_sum(const RowSumArguments<Half>&, cudaStream_t);
template void row_sum(const RowSumArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
