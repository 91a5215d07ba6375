// The distribution of tokens of one head over a warp: some lanes share a token's channels, the other lanes have other
// tokens.
#pragma once

#include <cstdint>

#include "cuda/kernels/storage.h"
#include "cuda/kernels/vector_access.h"

namespace dpm::cuda {

/// A warp's token. Groups of `lanes` neighbouring lanes, a power of two, share one token each: lane l of a group has
/// `Width` channels from (chunk * lanes + l) * Width on.
struct HeadToken {
  std::int64_t n;
  std::int64_t head;
  std::int64_t token;
  int lanes;
  int lane;
  int group;
};

/// Channels of a token in one lane; zero beyond the head's width.
template <typename T, int Width, int Chunks>
struct HeadChannels {
  Vector<T, Width> chunk[Chunks] = {};

  template <typename Map>
  __device__ void read(const Map& map, const HeadToken& own, std::int64_t token, int width) {
    const T* row = map.data + own.n * map.sample_stride + token * map.pixel_stride + own.head * width;
    for (int i = 0; i < Chunks; ++i) {
      const int c = (i * own.lanes + own.lane) * Width;
      if (c < width) chunk[i] = load_vector<Width>(row + c);
    }
  }

  [[nodiscard]] __device__ float value(int c) const { return to_float(chunk[c / Width].value[c % Width]); }
};

}  // namespace dpm::cuda
