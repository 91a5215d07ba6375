// Selection of a quantile without sorting: the bits of a non-negative float are ordered like the floats, so four passes
// over its bytes, from the highest, find the number of a rank.
#include "backend/update_math.h"
#include "cuda/kernels/update.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kBuckets = 256;
constexpr unsigned kInfinite = 0x7F800000u;

/// Values |x0| of one sample, as bits.
struct Magnitudes {
  const dpm_record* record;
  const float* in;
  const float* out;
  std::uint64_t elements;

  __device__ std::uint32_t at(std::uint64_t i) const {
    const float x0 = update::data_prediction(*record, in[i], out == nullptr ? 0.0F : out[i]);
    return static_cast<std::uint32_t>(math::float_bits(x0)) & 0x7FFFFFFFu;
  }
};

/// A block's state in the search for a number.
struct Search {
  unsigned count[kBuckets];
  std::uint32_t prefix;
  std::uint64_t rank;   ///< rank among the numbers that begin with `prefix`
  unsigned equal;       ///< count of numbers equal to the result
  std::uint32_t above;  ///< least larger number
};

__device__ void narrow(Search& search, const Magnitudes& magnitudes, int shift) {
  search.count[threadIdx.x] = 0;
  __syncthreads();
  const std::uint32_t fixed = shift == 24 ? 0u : ~0u << (shift + 8);
  for (std::uint64_t i = threadIdx.x; i < magnitudes.elements; i += blockDim.x) {
    const std::uint32_t bits = magnitudes.at(i);
    if ((bits & fixed) == search.prefix) atomicAdd(&search.count[(bits >> shift) & 0xFFu], 1u);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned bucket = 0;
    while (bucket + 1 < kBuckets && search.rank >= search.count[bucket]) search.rank -= search.count[bucket++];
    search.prefix |= bucket << shift;
    search.equal = search.count[bucket];
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads) threshold_kernel(UpdateArguments arguments) {
  __shared__ Search search;
  const UpdateSample& sample = arguments.samples[blockIdx.x];
  const dpm_record& record = sample.record;
  if (record.clip != DPM_CLIP_DYNAMIC) return;
  const Rows& state = (record.flags & DPM_RECORD_READ_Y) != 0 ? arguments.y : arguments.x;
  const float* out =
      arguments.out.data == nullptr ? nullptr : arguments.out.data + sample.network_row * arguments.out.stride;
  const Magnitudes magnitudes{&record, state.data + sample.row * state.stride, out, arguments.elements};
  const double position = static_cast<double>(record.clip_low) * static_cast<double>(arguments.elements - 1);
  const auto below = static_cast<std::uint64_t>(position);
  if (threadIdx.x == 0) {
    search.prefix = 0;
    search.rank = below;
    search.above = kInfinite;
  }
  __syncthreads();
  for (int shift = 24; shift >= 0; shift -= 8) narrow(search, magnitudes, shift);
  for (std::uint64_t i = threadIdx.x; i < magnitudes.elements; i += blockDim.x) {
    const std::uint32_t bits = magnitudes.at(i);
    if (bits > search.prefix) atomicMin(&search.above, bits);
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  const float low = math::bits_float(static_cast<std::int32_t>(search.prefix));
  const bool repeated = search.rank + 1 < search.equal || below + 1 >= arguments.elements;
  const float high = repeated ? low : math::bits_float(static_cast<std::int32_t>(search.above));
  const double fraction = position - static_cast<double>(below);
  const auto quantile = static_cast<float>(low + fraction * (static_cast<double>(high) - low));
  arguments.thresholds[blockIdx.x] = update::dynamic_threshold(record, quantile);
}

}  // namespace

void find_thresholds(const UpdateArguments& arguments, cudaStream_t stream) {
  DPM_LAUNCH(threshold_kernel, dim3(arguments.batch), dim3(kThreads), stream, arguments);
}

}  // namespace dpm::cuda
