#include "core/scalar_math.h"
#include "cuda/kernels/embedding.h"
#include "cuda/kernels/reduce_block.h"
#include "cuda/kernels/vector_access.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 256;

struct SineCosine {
  float sine;
  float cosine;
};

/// sinf and cosf keep a table in local memory for large angles; in double, subtracting quarter turns is exact enough
/// without it.
__device__ SineCosine sine_cosine(float angle) {
  constexpr double kQuartersPerRadian = 0.63661977236758134308;
  constexpr double kRadiansPerQuarter = 1.57079632679489661923;
  constexpr double kRound = 6755399441055744.0;
  const double quarters = static_cast<double>(angle) * kQuartersPerRadian;
  const double shifted = quarters + kRound;
  const auto rest = static_cast<float>((quarters - (shifted - kRound)) * kRadiansPerQuarter);
  const float sine = math::sin_quarter(rest);
  const float cosine = math::cos_quarter(rest);
  // The low bits of `shifted` are the number of quarters; reading them avoids a float-to-integer conversion, which is
  // undefined for NaN.
  std::uint64_t bits = 0;
  std::memcpy(&bits, &shifted, sizeof bits);
  const bool swapped = (bits & 1u) != 0;
  const bool half_turn = (bits & 2u) != 0;
  const float s = swapped ? cosine : sine;
  const float c = swapped ? -sine : cosine;
  return half_turn ? SineCosine{-s, -c} : SineCosine{s, c};
}

template <typename T>
__global__ void __launch_bounds__(kThreads) time_embedding_kernel(TimeEmbeddingArguments<T> a) {
  const float time = a.logarithmic ? logf(a.time[blockIdx.x]) : a.time[blockIdx.x];
  T* y = a.y + static_cast<std::int64_t>(blockIdx.x) * a.y_stride;
  const int half = a.length / 2;
  const int sines = a.cosine_first ? half : 0;
  for (int i = static_cast<int>(threadIdx.x); i < half; i += static_cast<int>(blockDim.x)) {
    const SineCosine value = sine_cosine(time * a.frequencies[i] * a.turn);
    y[sines + i] = from_float<T>(value.sine);
    y[half - sines + i] = from_float<T>(value.cosine);
  }
  if (threadIdx.x == 0 && a.length % 2 == 1) y[2 * half] = from_float<T>(0.0F);
}

template <typename T, int N>
__global__ void __launch_bounds__(kThreads) row_embedding_kernel(RowEmbeddingArguments<T> a) {
  const std::int64_t row = a.row.row(blockIdx.x, a.rows);
  const bool known = row >= 0;
  const T* source = known ? a.table + row * a.channels : nullptr;
  T* y = a.y + static_cast<std::int64_t>(blockIdx.x) * a.y_stride;
  for (int i = static_cast<int>(threadIdx.x); i < a.channels / N; i += static_cast<int>(blockDim.x)) {
    store_vector(y + i * N, known ? load_vector<N>(source + i * N) : Vector<T, N>{});
  }
}

/// A thread adds all samples of its channel, so that rows that occur twice are added in the order of samples.
template <typename T>
__global__ void __launch_bounds__(kThreads) table_gradient_kernel(TableGradientArguments<T> a) {
  const int c = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (c >= a.channels) return;
  for (int n = 0; n < a.batch; ++n) {
    const std::int64_t row = a.row.row(n, a.rows);
    if (row >= 0) a.sum[row * a.channels + c] += to_float(a.d[n * a.d_stride + c]);
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) label_score_kernel(LabelScoreArguments<T> a) {
  __shared__ float shared[kWarp];
  const T* x = a.x + static_cast<std::int64_t>(blockIdx.x) * a.x_stride;
  T* y = a.y + static_cast<std::int64_t>(blockIdx.x) * a.y_stride;
  const auto first = static_cast<int>(threadIdx.x);
  const auto step = static_cast<int>(blockDim.x);
  float largest = -INFINITY;
  for (int k = first; k < a.classes; k += step) largest = fmaxf(largest, to_float(x[k]));
  largest = block_reduce(largest, shared, -INFINITY, [](float left, float right) { return fmaxf(left, right); });
  float sum = 0;
  for (int k = first; k < a.classes; k += step) sum += expf(to_float(x[k]) - largest);
  sum = block_sum(sum, shared);
  const float label = a.label[blockIdx.x];
  const bool known = label > -1.0F && label < static_cast<float>(a.classes);
  for (int k = first; k < a.classes; k += step) {
    const float one = static_cast<float>(k) == label ? 1.0F : 0.0F;
    y[k] = from_float<T>(known ? one - expf(to_float(x[k]) - largest) / sum : 0.0F);
  }
}

template <int N, typename T>
void launch(const RowEmbeddingArguments<T>& arguments, cudaStream_t stream) {
  constexpr auto kKernel = row_embedding_kernel<T, N>;
  DPM_LAUNCH(kKernel, dim3(static_cast<unsigned>(arguments.batch)), dim3(kThreads), stream, arguments);
}

}  // namespace

template <typename T>
void time_embedding(const TimeEmbeddingArguments<T>& arguments, cudaStream_t stream) {
  DPM_LAUNCH(time_embedding_kernel<T>, dim3(static_cast<unsigned>(arguments.batch)), dim3(kThreads), stream, arguments);
}

template <typename T>
void row_embedding(const RowEmbeddingArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (takes_vectors<kWidth>(arguments.table, arguments.channels, arguments.channels) &&
      takes_vectors<kWidth>(arguments.y, arguments.y_stride, arguments.channels)) {
    launch<kWidth>(arguments, stream);
  } else {
    launch<1>(arguments, stream);
  }
}

template <typename T>
void table_gradient(const TableGradientArguments<T>& arguments, cudaStream_t stream) {
  const auto channels = static_cast<unsigned>(arguments.channels);
  DPM_LAUNCH(table_gradient_kernel<T>, dim3((channels + kThreads - 1) / kThreads), dim3(kThreads), stream, arguments);
}

template <typename T>
void label_score(const LabelScoreArguments<T>& arguments, cudaStream_t stream) {
  DPM_LAUNCH(label_score_kernel<T>, dim3(static_cast<unsigned>(arguments.batch)), dim3(kThreads), stream, arguments);
}

template void time_embedding(const TimeEmbeddingArguments<float>&, cudaStream_t);
template void time_embedding(const TimeEmbeddingArguments<Half>&, cudaStream_t);
template void time_embedding(const TimeEmbeddingArguments<Bfloat16>&, cudaStream_t);
template void row_embedding(const RowEmbeddingArguments<float>&, cudaStream_t);
template void row_embedding(const RowEmbeddingArguments<Half>&, cudaStream_t);
template void row_embedding(const RowEmbeddingArguments<Bfloat16>&, cudaStream_t);
template void table_gradient(const TableGradientArguments<float>&, cudaStream_t);
template void table_gradient(const TableGradientArguments<Half>&, cudaStream_t);
template void table_gradient(const TableGradientArguments<Bfloat16>&, cudaStream_t);
template void label_score(const LabelScoreArguments<float>&, cudaStream_t);
template void label_score(const LabelScoreArguments<Half>&, cudaStream_t);
template void label_score(const LabelScoreArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
