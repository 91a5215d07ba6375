// A block's slice of x in shared memory, normed, as an operand of small_convolution.cu.
#pragma once

#include "cuda/kernels/group_norm_tile.h"
#include "cuda/kernels/silu.h"
#include "cuda/kernels/small_convolution_part.h"

namespace dpm::cuda::sliced_convolution {

/// Vectors of a pixel's slice that a thread holds until the mean is known; it reads further ones again.
constexpr int kHeldPixels = 4;

/// The eight channels that belong to a thread in every pixel that it takes.
struct Column {
  int count;  ///< number of columns, idle ones included
  int index;
  int row;   ///< first pixel of the thread
  int rows;  ///< distance between its pixels
  int channel;
  bool is_idle;  ///< tells whether the column is beyond the slice

  __device__ Column(const SmallConvolutionPlan& plan, const Part& part) : count(plan.chunks * kPieces) {
    const int thread = static_cast<int>(threadIdx.x);
    index = thread % count;
    row = thread / count;
    rows = kThreads / count;
    channel = part.channel + index * kAccess;
    is_idle = index * kAccess >= part.channels;
  }
};

/// Sums, over the block, of the groups of a thread's channels, each at its channel. A vector has parts of `Parts`
/// groups or fewer, a group whole parts.
template <int Parts>
__device__ Floats<kAccess> sum_groups(const Floats<kAccess>& own, const Column& column, int of_group, int groups,
                                      GroupSums& shared) {
  constexpr int kWidth = kAccess / Parts;
  Floats<Parts> parts{};
  DPM_UNROLL
  for (int i = 0; i < kAccess; ++i) parts.value[i / kWidth] += own.value[i];
  for (int lanes = column.count; lanes < static_cast<int>(kWarp); lanes *= 2) {
    DPM_UNROLL
    for (float& part : parts.value) part += __shfl_xor_sync(kWholeWarp, part, static_cast<unsigned>(lanes));
  }
  const int thread = static_cast<int>(threadIdx.x);
  if (thread % static_cast<int>(kWarp) < column.count) {
    DPM_UNROLL
    for (int i = 0; i < Parts; ++i) shared.of_warps[thread / kWarp][column.index * Parts + i] = parts.value[i];
  }
  __syncthreads();
  const int parts_of_group = of_group / kWidth;
  if (thread < groups * parts_of_group) {
    const int first = thread / parts_of_group * parts_of_group;
    float sum = 0.0F;
    for (int i = first; i < first + parts_of_group; ++i) {
      DPM_UNROLL
      for (const auto& of_warp : shared.of_warps) sum += of_warp[i];
    }
    shared.totals[thread] = sum;
  }
  __syncthreads();
  Floats<kAccess> result{};
  if (column.is_idle) return result;
  DPM_UNROLL
  for (int i = 0; i < kAccess; ++i) result.value[i] = shared.totals[column.index * Parts + i / kWidth];
  return result;
}

__device__ inline Floats<kAccess> sum_groups(const Floats<kAccess>& own, const Column& column, int of_group, int groups,
                                             GroupSums& shared) {
  if (of_group % kAccess == 0) return sum_groups<1>(own, column, of_group, groups, shared);
  if (of_group % (kAccess / 2) == 0) return sum_groups<2>(own, column, of_group, groups, shared);
  return sum_groups<kAccess>(own, column, of_group, groups, shared);
}

/// A thread's pixels of the whole sample, in turn: the first of them stay in registers.
template <typename T>
struct SamplePixels {
  const T* first;
  std::int64_t step;
  int count;
  GroupNormHeld<T, kAccess, kHeldPixels> held;

  __device__ SamplePixels(const SmallConvolutionArguments<T>& a, const Part& part, const Column& column)
      : first(a.x.data + part.sample * a.x.sample_stride + column.row * a.x.pixel_stride + column.channel),
        step(column.rows * a.x.pixel_stride) {
    const int pixels = a.shape.in_height * a.shape.in_width;
    count = column.is_idle || column.row >= pixels ? 0 : (pixels - column.row - 1) / column.rows + 1;
    held.load(first, step, count);
  }

  /// Adds up `sum_of(held)` of all pixels.
  template <typename SumOf>
  [[nodiscard]] __device__ Floats<kAccess> sum(const SumOf& sum_of) const {
    Floats<kAccess> result = sum_of(held);
    for (int done = kHeldPixels; done < count; done += kHeldPixels) {
      GroupNormHeld<T, kAccess, kHeldPixels> more;
      more.load(first + done * step, step, count - done);
      const Floats<kAccess> next = sum_of(more);
      DPM_UNROLL
      for (int i = 0; i < kAccess; ++i) result.value[i] += next.value[i];
    }
    return result;
  }
};

/// The transform of a thread's channels: (value - mean) * factor + term, and SiLU.
template <typename T>
struct ColumnNorm {
  Floats<kAccess> mean{};  ///< mean minus the number added to x, which moves the mean and leaves the differences from
                           ///< it
  Floats<kAccess> factor{};
  Floats<kAccess> term{};
  bool has_silu;

  /// Computes the transform; all threads of the block have to call it.
  __device__ ColumnNorm(const SmallConvolutionArguments<T>& a, const Part& part, const Column& column,
                        GroupSums& shared)
      : has_silu(a.norm.silu) {
    const SamplePixels<T> pixels(a, part, column);
    Floats<kAccess> added{};
    if (!column.is_idle) {
      load_affine(a, part, column);
      added = added_to_x(a, part, column);
    }
    const int of_group = a.shape.in_channels / a.shape.groups;
    const int groups = part.channels / of_group;
    const float share =
        1.0F / (static_cast<float>(of_group) * static_cast<float>(a.shape.in_height * a.shape.in_width));
    Floats<kAccess> sums = pixels.sum([](const auto& held) { return held.sum(); });
    DPM_UNROLL
    for (int i = 0; i < kAccess; ++i) sums.value[i] += static_cast<float>(pixels.count) * added.value[i];
    sums = sum_groups(sums, column, of_group, groups, shared);
    DPM_UNROLL
    for (int i = 0; i < kAccess; ++i) mean.value[i] = sums.value[i] * share - added.value[i];
    sums = pixels.sum([this](const auto& held) { return held.sum_of_squares(mean); });
    sums = sum_groups(sums, column, of_group, groups, shared);
    DPM_UNROLL
    for (int i = 0; i < kAccess; ++i) factor.value[i] *= rsqrtf(sums.value[i] * share + a.norm.epsilon);
  }

  [[nodiscard]] __device__ Words apply(const Words& words) const {
    Vector<T, kAccess> vector;
    std::memcpy(&vector, &words, sizeof vector);
    Floats<kAccess> value = to_floats(vector);
    DPM_UNROLL
    for (int i = 0; i < kAccess; ++i) {
      value.value[i] = (value.value[i] - mean.value[i]) * factor.value[i] + term.value[i];
      if (has_silu) value.value[i] = silu_as<T>(value.value[i]);
    }
    vector = from_floats<T>(value);
    Words result;
    std::memcpy(&result, &vector, sizeof result);
    return result;
  }

 private:
  __device__ void load_affine(const SmallConvolutionArguments<T>& a, const Part& part, const Column& column) {
    factor = load_floats<kAccess>(a.norm.gamma + column.channel);
    term = load_floats<kAccess>(a.norm.beta + column.channel);
    if (a.norm.scale_shift == nullptr) return;
    const T* row = a.norm.scale_shift + part.sample * a.norm.scale_shift_stride + column.channel;
    const Floats<kAccess> scale = load_floats<kAccess>(row);
    const Floats<kAccess> shift = load_floats<kAccess>(row + a.shape.in_channels);
    DPM_UNROLL
    for (int i = 0; i < kAccess; ++i) {
      factor.value[i] *= 1.0F + scale.value[i];
      term.value[i] = term.value[i] * (1.0F + scale.value[i]) + shift.value[i];
    }
  }

  __device__ static Floats<kAccess> added_to_x(const SmallConvolutionArguments<T>& a, const Part& part,
                                               const Column& column) {
    Floats<kAccess> added{};
    if (a.norm.bias != nullptr) added = load_floats<kAccess>(a.norm.bias + column.channel);
    if (a.norm.vector == nullptr) return added;
    const Floats<kAccess> vector =
        load_floats<kAccess>(a.norm.vector + part.sample * a.norm.vector_stride + column.channel);
    DPM_UNROLL
    for (int i = 0; i < kAccess; ++i) added.value[i] += vector.value[i];
    return added;
  }
};

/// Stores `become(words)` of the pixels that the block's output reads in its map, zero where x has none.
template <typename T, typename Become>
__device__ void fill_map(const SmallConvolutionArguments<T>& a, const SmallConvolutionPlan& plan, const Part& part,
                         const Column& column, Words (*map)[kPieces], const Become& become) {
  const T* x = a.x.data + part.sample * a.x.sample_stride + column.channel;
  Words(*chunk)[kPieces] = map + column.index / kPieces * plan.map_pixels;
  for (int pixel = column.row; pixel < plan.map_pixels; pixel += column.rows) {
    const int i = part.top + pixel / plan.map_width;
    const int j = part.left + pixel % plan.map_width;
    const bool is_inside = !column.is_idle && i >= 0 && i < a.shape.in_height && j >= 0 && j < a.shape.in_width;
    Words words = {};
    if (is_inside) words = become(load_factors(x + (std::int64_t{i} * a.shape.in_width + j) * a.x.pixel_stride));
    chunk[pixel][column.index % kPieces] = words;
  }
}

/// Writes the block's slice to its map, normed if there is a norm. All threads of the block have to call it.
template <typename T, typename Tile>
__device__ void norm_map(const SmallConvolutionArguments<T>& a, const SmallConvolutionPlan& plan, const Part& part,
                         Bench<Tile>& bench) {
  const Column column(plan, part);
  if (a.shape.groups == 0) {
    fill_map(a, plan, part, column, bench.map, [](const Words& words) { return words; });
  } else {
    const ColumnNorm<T> norm(a, part, column, bench.group_sums);
    fill_map(a, plan, part, column, bench.map, [&norm](const Words& words) { return norm.apply(words); });
  }
}

}  // namespace dpm::cuda::sliced_convolution
