#include <algorithm>

#include "backend/record.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/load_floats.h"

namespace dpm::cuda {
namespace {

constexpr int kThreads = 256;

/// Returns the grid for one pixel per thread: neighbours read and write neighbouring pixels of a plane.
dim3 grid_of(int pixels, int batch) {
  return {static_cast<unsigned>((pixels - 1) / kThreads + 1), static_cast<unsigned>(std::min(batch, kMostGridRows))};
}

dim3 block_of(int pixels) {
  constexpr int kLanes = static_cast<int>(kWarp);
  return static_cast<unsigned>(std::min(kThreads, (pixels + kLanes - 1) / kLanes * kLanes));
}

template <typename Body>
__device__ void for_own_pixels(int pixels, int batch, const Body& body) {
  const int pixel = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (pixel >= pixels) return;
  for (int n = static_cast<int>(blockIdx.y); n < batch; n += static_cast<int>(gridDim.y)) body(n, pixel);
}

struct Image {
  const float* data;
  float scale;
};

template <typename T>
__device__ Image image_of(const LoadImageArguments<T>& a, int n) {
  if (a.samples == nullptr) {
    const std::uint64_t row = a.groups == nullptr ? static_cast<std::uint64_t>(n) : a.groups[n];
    return {a.x.data + row * a.x.stride, 1.0F};
  }
  const UpdateSample& sample = a.samples[n];
  const Rows& state = (sample.record.flags & DPM_RECORD_READ_Y) != 0 ? a.y : a.x;
  return {state.data + sample.row * state.stride, sample.record.input_scale};
}

/// Returns channel c of a pixel as it is stored.
template <typename T>
__device__ float stored_channel(const LoadImageArguments<T>& a, const Image& image, int pixel, int c) {
  if (c >= kImageTerms<T> * a.channels) return 0.0F;
  const int term = c / a.channels;
  const std::int64_t element = static_cast<std::int64_t>(c - term * a.channels) * a.pixels + pixel;
  const float value = image.scale * image.data[element];
  return term == 1 ? value - to_float(from_float<T>(value)) : value;
}

template <typename T, int N>
__global__ void __launch_bounds__(kThreads) load_image_kernel(LoadImageArguments<T> a) {
  for_own_pixels(a.pixels, a.batch, [&](std::int64_t n, int pixel) {
    const Image image = image_of(a, static_cast<int>(n));
    T* target = a.map.data + n * a.map.sample_stride + pixel * a.map.pixel_stride;
    for (int first = 0; first < a.padded_channels; first += N) {
      Floats<N> value;
      for (int i = 0; i < N; ++i) value.value[i] = stored_channel(a, image, pixel, first + i);
      store_vector(target + first, from_floats<T>(value));
    }
  });
}

template <typename T, int N>
__global__ void __launch_bounds__(kThreads) store_output_kernel(StoreOutputArguments<T> a) {
  for_own_pixels(a.pixels, a.batch, [&](std::int64_t n, int pixel) {
    const T* source = a.map.data + n * a.map.sample_stride + pixel * a.map.pixel_stride;
    float* target = a.out.data + static_cast<std::uint64_t>(n) * a.out.stride + pixel;
    for (int first = 0; first < a.channels; first += N) {
      const Floats<N> value = load_floats<N>(source + first);
      for (int i = 0; i < N; ++i) target[static_cast<std::int64_t>(first + i) * a.pixels] = value.value[i];
    }
  });
}

template <int N, typename T>
void launch(const LoadImageArguments<T>& arguments, cudaStream_t stream) {
  constexpr auto kKernel = load_image_kernel<T, N>;
  DPM_LAUNCH(kKernel, grid_of(arguments.pixels, arguments.batch), block_of(arguments.pixels), stream, arguments);
}

template <int N, typename T>
void launch(const StoreOutputArguments<T>& arguments, cudaStream_t stream) {
  constexpr auto kKernel = store_output_kernel<T, N>;
  DPM_LAUNCH(kKernel, grid_of(arguments.pixels, arguments.batch), block_of(arguments.pixels), stream, arguments);
}

}  // namespace

template <typename T>
void load_image(const LoadImageArguments<T>& arguments, cudaStream_t stream) {
  if (takes_vectors<kVectorWidth<T>>(arguments.map, arguments.padded_channels)) {
    launch<kVectorWidth<T>>(arguments, stream);
  } else {
    launch<1>(arguments, stream);
  }
}

template <typename T>
void store_output(const StoreOutputArguments<T>& arguments, cudaStream_t stream) {
  if (takes_vectors<kVectorWidth<T>>(arguments.map, arguments.channels)) {
    launch<kVectorWidth<T>>(arguments, stream);
  } else {
    launch<1>(arguments, stream);
  }
}

template void load_image(const LoadImageArguments<float>&, cudaStream_t);
template void load_image(const LoadImageArguments<Half>&, cudaStream_t);
template void load_image(const LoadImageArguments<Bfloat16>&, cudaStream_t);
template void store_output(const StoreOutputArguments<float>&, cudaStream_t);
template void store_output(const StoreOutputArguments<Half>&, cudaStream_t);
template void store_output(const StoreOutputArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
