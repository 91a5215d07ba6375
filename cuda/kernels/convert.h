// Conversion of images and outputs, which are NCHW float32, from and to maps, which are NHWC in the network's own type.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"
#include "cuda/kernels/update.h"

namespace dpm::cuda {

/// Number of times that an image's channels are stored.
template <typename T>
constexpr int kImageTerms = sizeof(T) == 2 ? 3 : 1;

/// y[n][pixel][c] = image[n][c][pixel] for c < channels. For a 16-bit type the next `channels` have the remainder of
/// the rounding, and those after them the first ones again (see layers/weights.h). The rest up to padded_channels is
/// zero. Without `samples`, image n is row n of x, or row groups[n] where there are groups. With them it is row
/// samples[n].row of x, or of y where the sample's record has DPM_RECORD_READ_Y, times the record's input_scale.
template <typename T>
struct LoadImageArguments {
  Rows x;
  Rows y;
  const UpdateSample* samples;
  Map<T> map;
  int batch;
  int pixels;
  int channels;
  int padded_channels;  ///< number of stored channels, at least kImageTerms<T> * channels
  const std::uint32_t* groups = nullptr;
};

template <typename T>
void load_image(const LoadImageArguments<T>& arguments, cudaStream_t stream);

/// Writes out[n][c][pixel] = map[n][pixel][c] to row n of `out`.
template <typename T>
struct StoreOutputArguments {
  Map<const T> map;
  Rows out;
  int batch;
  int pixels;
  int channels;
};

template <typename T>
void store_output(const StoreOutputArguments<T>& arguments, cudaStream_t stream);

extern template void load_image(const LoadImageArguments<float>&, cudaStream_t);
extern template void load_image(const LoadImageArguments<Half>&, cudaStream_t);
extern template void load_image(const LoadImageArguments<Bfloat16>&, cudaStream_t);
extern template void store_output(const StoreOutputArguments<float>&, cudaStream_t);
extern template void store_output(const StoreOutputArguments<Half>&, cudaStream_t);
extern template void store_output(const StoreOutputArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
