#include "cuda/kernels/group_norm_derivative_column.h"
#include "cuda/kernels/group_norm_sums.h"
#include "cuda/kernels/reduce_block.h"

namespace dpm::cuda {
namespace {

constexpr int kThreads = 256;

/// The place of a thread in a block that has one group of a sample: columns are channels, rows are pixels.
struct GroupPlace {
  int columns;
  int rows;
  int column = 0;
  int row = 0;

  __device__ explicit GroupPlace(int channels)
      : columns(channels < kThreads ? channels : kThreads), rows(kThreads / columns) {
    row = static_cast<int>(threadIdx.x) / columns;
    column = static_cast<int>(threadIdx.x) - row * columns;
  }
  [[nodiscard]] __device__ bool is_idle() const { return row >= rows; }
};

/// Returns the sum of a column over its rows, for the threads of the first row.
__device__ float column_sum(const GroupPlace& place, float value, float* partial) {
  partial[threadIdx.x] = value;
  __syncthreads();
  float sum = 0.0F;
  if (place.row == 0) {
    for (int row = 0; row < place.rows; ++row) sum += partial[row * place.columns + place.column];
  }
  // The barrier comes before the next call's writes.
  __syncthreads();
  return sum;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) sums_kernel(GroupNormSumsArguments<T> a) {
  __shared__ float shared[kWarp];
  __shared__ float partial[kThreads];
  const GroupNormDerivativeArguments<T>& derivative = a.derivative;
  const GroupNormArguments<T>& norm = derivative.norm;
  const auto groups = static_cast<unsigned>(norm.groups);
  const int channels = norm.channels / norm.groups;
  const int first = static_cast<int>(blockIdx.x % groups) * channels;
  const std::int64_t n = blockIdx.x / groups;
  const GroupPlace place(channels);
  const T* x = norm.x.data + n * norm.x.sample_stride + first;
  const T* given = derivative.given.data + n * derivative.given.sample_stride + first;
  // Calls `body(pixel)` for this thread's pixels of a channel.
  const auto for_own_pixels = [&](int c, const auto& body) {
    if (place.is_idle() || c >= channels) return;
    for (std::int64_t pixel = place.row; pixel < norm.pixels; pixel += place.rows) body(pixel);
  };
  const auto x_at = [&](int c, std::int64_t pixel) { return to_float(x[pixel * norm.x.pixel_stride + c]); };
  const auto group_sum = [&](const auto& term) {
    float sum = 0.0F;
    for (int c = place.column; c < channels; c += place.columns) {
      for_own_pixels(c, [&](std::int64_t pixel) { sum += term(x_at(c, pixel)); });
    }
    return block_sum(sum, shared);
  };

  const float share = 1.0F / (static_cast<float>(channels) * static_cast<float>(norm.pixels));
  GroupNormColumn<1> column{};
  const float mean = group_sum([](float value) { return value; }) * share;
  const float variance = group_sum([&](float value) { return (value - mean) * (value - mean); }) * share;
  column.mean.value[0] = mean;
  column.inverse.value[0] = rsqrtf(variance + norm.epsilon);

  for (int block = 0; block < channels; block += place.columns) {
    const int c = block + place.column;
    float of_products = 0.0F;
    float of_deltas = 0.0F;
    if (!place.is_idle() && c < channels) column.load(norm, n, first + c);
    for_own_pixels(c, [&](std::int64_t pixel) {
      const float normed = column.normed(0, x_at(c, pixel));
      const float slope = column.template slope_of_silu<T>(0, normed, norm.silu);
      const float delta = to_float(given[pixel * derivative.given.pixel_stride + c]) * slope;
      of_products += delta * normed;
      of_deltas += delta;
    });
    of_products = column_sum(place, of_products, partial);
    of_deltas = column_sum(place, of_deltas, partial);
    if (place.row > 0 || c >= channels) continue;
    T* sums = a.sums + n * a.sums_stride + first + c;
    sums[0] = from_float<T>(of_products);
    sums[norm.channels] = from_float<T>(of_deltas);
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) vector_kernel(GroupNormVectorArguments<T> a, std::int64_t elements) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= elements) return;
  const std::int64_t n = i / a.channels;
  const std::int64_t c = i - n * a.channels;
  const T* sums = a.sums + n * a.sums_stride + c;
  T* y = a.y + n * a.y_stride + c;
  y[0] = from_float<T>(a.gamma[c] * to_float(sums[0]) + a.beta[c] * to_float(sums[a.channels]));
  y[a.channels] = sums[a.channels];
}

}  // namespace

template <typename T>
void group_norm_sums(const GroupNormSumsArguments<T>& arguments, cudaStream_t stream) {
  const GroupNormArguments<T>& norm = arguments.derivative.norm;
  const dim3 grid(static_cast<unsigned>(norm.groups) * static_cast<unsigned>(norm.batch));
  DPM_LAUNCH(sums_kernel<T>, grid, dim3(kThreads), stream, arguments);
}

template <typename T>
void group_norm_vector(const GroupNormVectorArguments<T>& arguments, cudaStream_t stream) {
  const std::int64_t elements = std::int64_t{arguments.batch} * arguments.channels;
  const dim3 grid(static_cast<unsigned>((elements + kThreads - 1) / kThreads));
  DPM_LAUNCH(vector_kernel<T>, grid, dim3(kThreads), stream, arguments, elements);
}

template void group_norm_sums(const GroupNormSumsArguments<float>&, cudaStream_t);
template void group_norm_sums(const GroupNormSumsArguments<Half>&, cudaStream_t);
template void group_norm_sums(const GroupNormSumsArguments<Bfloat16>&, cudaStream_t);
template void group_norm_vector(const GroupNormVectorArguments<float>&, cudaStream_t);
template void group_norm_vector(const GroupNormVectorArguments<Half>&, cudaStream_t);
template void group_norm_vector(const GroupNormVectorArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
