#include "cuda/kernels/pixel_blocks.h"
#include "cuda/kernels/square_score.h"

namespace dpm::cuda {
namespace {

template <typename T>
__device__ float at(const Map<T>& map, std::int64_t n, std::int64_t pixel, int c) {
  return to_float(map.data[n * map.sample_stride + pixel * map.pixel_stride + c]);
}

template <typename T>
__global__ void __launch_bounds__(PixelBlocks::kThreads)
    square_score_kernel(SquareScoreArguments<T> a, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int c) {
    float score = 0.0F;
    if (c < a.channels) {
      float weight = to_float(a.weight[n * a.weight_stride]);
      if (a.weight_rest != nullptr) weight += to_float(a.weight_rest[n * a.weight_stride]);
      float target = at(a.target, n, pixel, c);
      if (a.compared.data != nullptr) {
        const float difference = target - at(a.compared, n, pixel, c);
        target = difference * difference;
      }
      score = 2.0F * weight * (at(a.x, n, pixel, c) - target);
    }
    a.y.data[n * a.y.sample_stride + pixel * a.y.pixel_stride + c] = from_float<T>(score);
  });
}

}  // namespace

template <typename T>
void square_score(const SquareScoreArguments<T>& arguments, cudaStream_t stream) {
  const PixelBlocks blocks(arguments.batch, arguments.pixels, arguments.padded_channels);
  DPM_LAUNCH(square_score_kernel<T>, blocks.grid(), blocks.block(), stream, arguments, blocks);
}

template void square_score(const SquareScoreArguments<float>&, cudaStream_t);
template void square_score(const SquareScoreArguments<Half>&, cudaStream_t);
template void square_score(const SquareScoreArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
