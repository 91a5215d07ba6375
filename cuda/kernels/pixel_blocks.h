// The grid of kernels that process a map element by element. A block has whole pixels, so that the pixel and the
// channels of a thread follow from a division of small numbers, for any size of the map.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/kernels/launch.h"

namespace dpm::cuda {

struct PixelBlocks {
  int batch;
  int pixels;
  int vectors;  ///< vectors of a pixel
  int pixels_per_block;

  static constexpr int kThreads = 256;
  static constexpr int kVectorsPerBlock = 2 * kThreads;

  PixelBlocks(int samples, int pixels_of_sample, int vectors_of_pixel)
      : batch(samples),
        pixels(pixels_of_sample),
        vectors(vectors_of_pixel),
        pixels_per_block(std::min(pixels, std::max(1, kVectorsPerBlock / vectors))) {}

  [[nodiscard]] dim3 grid() const {
    return {static_cast<unsigned>((pixels - 1) / pixels_per_block + 1),
            static_cast<unsigned>(std::min(batch, kMostGridRows))};
  }
  [[nodiscard]] dim3 block() const {
    const std::int64_t items = static_cast<std::int64_t>(pixels_per_block) * vectors;
    return static_cast<unsigned>(std::min<std::int64_t>(kThreads, (items + kWarp - 1) / kWarp * kWarp));
  }

  /// Calls `body(sample, pixel, vector)` for this thread's vectors.
  template <typename Body>
  __device__ void for_own_vectors(const Body& body) const {
    const int first = static_cast<int>(blockIdx.x) * pixels_per_block;
    const int count = pixels - first < pixels_per_block ? pixels - first : pixels_per_block;
    for (int n = static_cast<int>(blockIdx.y); n < batch; n += static_cast<int>(gridDim.y)) {
      for (int i = static_cast<int>(threadIdx.x); i < count * vectors; i += static_cast<int>(blockDim.x)) {
        const int pixel = i / vectors;
        body(std::int64_t{n}, std::int64_t{first} + pixel, i - pixel * vectors);
      }
    }
  }
};

}  // namespace dpm::cuda
