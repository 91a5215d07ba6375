#include "cuda/kernels/linear.h"
#include "cuda/kernels/silu.h"
#include "cuda/kernels/vector_access.h"

namespace dpm::cuda {
namespace {

/// Warps of a block, with one output each.
constexpr unsigned kWarps = 4;
constexpr int kMostSamples = 8;

/// Products of one row of the weight with `Samples` rows of x.
template <typename T, int Width, int Samples>
struct Products {
  float sum[Samples] = {};

  /// Adds this lane's part. Where there are fewer rows of x, the last one is repeated.
  __device__ void add(const LinearArguments<T>& a, const T* weight, int first) {
    const int lane = static_cast<int>(threadIdx.x % kWarp);
    for (int i = lane * Width; i < a.inputs; i += static_cast<int>(kWarp) * Width) {
      const Vector<T, Width> w = load_vector<Width>(weight + i);
      for (int s = 0; s < Samples; ++s) {
        const int n = first + s < a.batch ? first + s : a.batch - 1;
        const Vector<T, Width> x = load_vector<Width>(a.x + n * a.x_stride + i);
        // The fmaf is explicit: a compiler may join products and sums in one instance and not in another.
        for (int j = 0; j < Width; ++j) sum[s] = fmaf(to_float(x.value[j]), to_float(w.value[j]), sum[s]);
      }
    }
  }

  /// Returns the sum over the warp for the sample lane / (kWarp / Samples). While there are several, a lane passes on
  /// half of them; the order of a sample's sum is that of plain shuffles, for any `Samples`.
  __device__ float over_warp() {
    int count = Samples;
    for (unsigned lanes = kWarp / 2; lanes > 0; lanes /= 2) {
      if (count == 1) {
        sum[0] += __shfl_xor_sync(kWholeWarp, sum[0], lanes);
        continue;
      }
      count /= 2;
      const bool upper = (threadIdx.x & lanes) != 0;
      for (int s = 0; s < count; ++s) {
        const float passed = __shfl_xor_sync(kWholeWarp, upper ? sum[s] : sum[s + count], lanes);
        sum[s] = (upper ? sum[s + count] : sum[s]) + passed;
      }
    }
    return sum[0];
  }
};

template <typename T, int Width, int Samples>
__global__ void __launch_bounds__(kWarps* kWarp, 4) linear_kernel(LinearArguments<T> a) {
  constexpr unsigned kLanesOfSample = kWarp / Samples;
  const unsigned o = blockIdx.y * kWarps + threadIdx.x / kWarp;
  if (o >= static_cast<unsigned>(a.outputs)) return;
  const int first = static_cast<int>(blockIdx.x) * Samples;
  const unsigned lane = threadIdx.x % kWarp;
  Products<T, Width, Samples> products;
  products.add(a, a.weight + static_cast<std::int64_t>(o) * a.inputs, first);
  const float bias = a.bias != nullptr ? a.bias[o] : 0.0F;
  const float value = a.scale * (products.over_warp() + bias);
  const int n = first + static_cast<int>(lane / kLanesOfSample);
  if (lane % kLanesOfSample != 0 || n >= a.batch) return;
  a.y[n * a.y_stride + o] = from_float<T>(a.silu ? silu_as<T>(value) : value);
}

template <typename T, int Width, int Samples>
void launch_linear(const LinearArguments<T>& arguments, cudaStream_t stream) {
  const dim3 grid((static_cast<unsigned>(arguments.batch) + Samples - 1) / Samples,
                  (static_cast<unsigned>(arguments.outputs) + kWarps - 1) / kWarps);
  constexpr auto kKernel = linear_kernel<T, Width, Samples>;
  DPM_LAUNCH(kKernel, grid, dim3(kWarps * kWarp), stream, arguments);
}

template <typename T, int Width>
void launch_linear(const LinearArguments<T>& arguments, cudaStream_t stream) {
  if (arguments.batch == 1) {
    launch_linear<T, Width, 1>(arguments, stream);
  } else if (arguments.batch == 2) {
    launch_linear<T, Width, 2>(arguments, stream);
  } else if (arguments.batch <= 4) {
    launch_linear<T, Width, 4>(arguments, stream);
  } else {
    launch_linear<T, Width, kMostSamples>(arguments, stream);
  }
}

}  // namespace

template <typename T>
void linear(const LinearArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (takes_vectors<kWidth>(arguments.x, arguments.x_stride, arguments.inputs) &&
      takes_vectors<kWidth>(arguments.weight, arguments.inputs, arguments.inputs)) {
    launch_linear<T, kWidth>(arguments, stream);
  } else {
    launch_linear<T, 1>(arguments, stream);
  }
}

template void linear(const LinearArguments<float>&, cudaStream_t);
template void linear(const LinearArguments<Half>&, cudaStream_t);
template void linear(const LinearArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
