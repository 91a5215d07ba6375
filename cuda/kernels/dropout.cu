#include "cuda/kernels/dropout.h"
#include "cuda/kernels/pixel_blocks.h"

namespace dpm::cuda {
namespace {

template <typename T>
__global__ void __launch_bounds__(PixelBlocks::kThreads) dropout_kernel(DropoutArguments<T> a, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int c) {
    const T* bytes = a.bytes + n * a.bytes_stride;
    const DropoutSample sample = dropout_sample([&](int i) { return to_float(bytes[i]); });
    const auto element = static_cast<std::uint32_t>(std::int64_t{c} * a.pixels + pixel);
    const PhiloxWords words = dropout_words(a.dropout, sample, element / 4);
    // An index that is known when the kernel is compiled keeps the words in registers.
    std::uint32_t word = words.word[0];
    for (std::uint32_t i = 1; i < 4; ++i) word = element % 4 == i ? words.word[i] : word;
    const float value = to_float(a.x.data[n * a.x.sample_stride + pixel * a.x.pixel_stride + c]);
    a.y.data[n * a.y.sample_stride + pixel * a.y.pixel_stride + c] =
        from_float<T>(value * dropout_factor(a.dropout, word));
  });
}

}  // namespace

template <typename T>
void dropout(const DropoutArguments<T>& arguments, cudaStream_t stream) {
  const PixelBlocks blocks(arguments.batch, arguments.pixels, arguments.channels);
  DPM_LAUNCH(dropout_kernel<T>, blocks.grid(), blocks.block(), stream, arguments, blocks);
}

template void dropout(const DropoutArguments<float>&, cudaStream_t);
template void dropout(const DropoutArguments<Half>&, cudaStream_t);
template void dropout(const DropoutArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
