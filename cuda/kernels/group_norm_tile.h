// The common part of group norm's kernels: a thread's way through the pixels, sums over groups, and the result of a
// vector.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cuda/kernels/group_norm.h"
#include "cuda/kernels/group_norm_layout.h"
#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/silu.h"

namespace dpm::cuda {

/// The part of a sample that belongs to a block, and the thread's place in it.
struct GroupNormCluster {
  int sample;
  int first_group;
  int groups;
  int row;
  int column;
  int channel;   ///< first channel of the thread's column
  bool is_idle;  ///< tells whether the thread is beyond the rows or the columns

  __device__ GroupNormCluster(const GroupNormLayout& layout, int all_groups, int width, unsigned index, unsigned n) {
    const int thread = static_cast<int>(threadIdx.x);
    sample = static_cast<int>(n);
    first_group = static_cast<int>(index) * layout.groups;
    groups = all_groups - first_group < layout.groups ? all_groups - first_group : layout.groups;
    row = thread / layout.columns;
    column = thread - row * layout.columns;
    channel = first_group * layout.channels_of_group + column * width;
    is_idle = row >= layout.rows || column * width >= groups * layout.channels_of_group;
  }

  /// Returns the number of a thread's pixels row, row + rows... below `count`.
  [[nodiscard]] __device__ int own_pixels(const GroupNormLayout& layout, int count) const {
    return is_idle || row >= count ? 0 : (count - row - 1) / layout.rows + 1;
  }

  /// Returns the place of the thread's first vector when the block's first pixel is `pixel`.
  template <typename T>
  [[nodiscard]] __device__ T* place_in(const Map<T>& map, int pixel) const {
    return map.data + sample * map.sample_stride + (std::int64_t{pixel} + row) * map.pixel_stride + channel;
  }
};

/// A vector as words: as separate numbers, two narrow ones would take two registers.
template <typename T, int N>
struct GroupNormPacked {
  static constexpr bool kIsOne = sizeof(T) * N < sizeof(std::uint32_t);
  using Words = std::conditional_t<kIsOne, T, vector_access::Words<kIsOne ? 4 : sizeof(T) * N>>;
  Words words;

  __device__ void load(const T* source) {
    const Vector<T, N> vector = load_vector<N>(source);
    std::memcpy(&words, &vector, sizeof words);
  }

  /// Converts the numbers at this point: the compiler would convert all vectors once, for all uses, and has no
  /// registers for as many floats.
  [[nodiscard]] __device__ Floats<N> unpack() const {
    Words own = words;
#if defined(__CUDACC__)
    if constexpr (!kIsOne && sizeof(T) < sizeof(float)) {
      DPM_UNROLL
      for (auto& word : own.word) asm volatile("" : "+r"(word)::"memory");
    }
#endif
    Vector<T, N> vector;
    std::memcpy(&vector, &own, sizeof own);
    return to_floats(vector);
  }
};

/// Several vectors of a thread, in registers.
template <typename T, int N, int K>
struct GroupNormHeld {
  GroupNormPacked<T, N> vector[K];
  int count;

  /// Loads vectors; `step` is in elements.
  __device__ void load(const T* x, int step, int left) {
    count = left < K ? left : K;
    DPM_UNROLL
    for (int k = 0; k < K; ++k) {
      if (k < count) {
        vector[k].load(x + k * step);
      } else {
        vector[k] = {};
      }
    }
  }

  /// Completes the held vectors, and writes them at z. The residual may be null.
  __device__ void complete(const Floats<N>& added, const T* residual, int residual_step, float scale, T* z,
                           int z_step) {
    DPM_UNROLL
    for (int k = 0; k < K; ++k) {
      if (k < count) {
        Floats<N> value = vector[k].unpack();
        DPM_UNROLL
        for (int i = 0; i < N; ++i) value.value[i] += added.value[i];
        if (residual != nullptr) {
          const Floats<N> more = load_floats<N>(residual + k * residual_step);
          DPM_UNROLL
          for (int i = 0; i < N; ++i) value.value[i] += more.value[i];
        }
        DPM_UNROLL
        for (int i = 0; i < N; ++i) value.value[i] *= scale;
        const Vector<T, N> completed = from_floats<T>(value);
        std::memcpy(&vector[k].words, &completed, sizeof completed);
        store_vector(z + k * z_step, completed);
      }
    }
  }

  [[nodiscard]] __device__ Floats<N> sum() const {
    Floats<N> result{};
    DPM_UNROLL
    for (int k = 0; k < K; ++k) {
      const Floats<N> value = vector[k].unpack();
      DPM_UNROLL
      for (int i = 0; i < N; ++i) result.value[i] += value.value[i];
    }
    return result;
  }

  /// Sums the squares of the differences from `mean`.
  [[nodiscard]] __device__ Floats<N> sum_of_squares(const Floats<N>& mean) const {
    Floats<N> result{};
    DPM_UNROLL
    for (int k = 0; k < K; ++k) {
      if (k < count) {
        const Floats<N> value = vector[k].unpack();
        DPM_UNROLL
        for (int i = 0; i < N; ++i) {
          const float difference = value.value[i] - mean.value[i];
          result.value[i] += difference * difference;
        }
      }
    }
    return result;
  }
};

/// Calls `body(i, group)` for every channel of a vector, with groups counted from the cluster's first.
template <int N, typename Body>
__device__ void for_vector_groups(const GroupNormLayout& layout, int column, const Body& body) {
  int group = column * N / layout.channels_of_group;
  int left = (group + 1) * layout.channels_of_group - column * N;
  DPM_UNROLL
  for (int i = 0; i < N; ++i) {
    if (left == 0) {
      ++group;
      left = layout.channels_of_group;
    }
    --left;
    body(i, group);
  }
}

/// Sums over the groups of a cluster; `partial` and `folded` hold the block's threads times N and the block's threads.
/// Every thread of the block passes the numbers of its column's channels.
template <int N>
__device__ void group_sums(const GroupNormLayout& layout, int groups, const Floats<N>& own, float* partial,
                           float* folded, float* sums) {
  const int thread = static_cast<int>(threadIdx.x);
  const int threads = static_cast<int>(blockDim.x);
  // The numbers in a row of the cluster, and of a group: one per channel, or one per column where all its channels are
  // of one group.
  int width = layout.columns;
  int of_group = layout.channels_of_group / N;
  int rows = layout.rows;
  if (layout.whole_group) {
    float sum = 0.0F;
    DPM_UNROLL
    for (int i = 0; i < N; ++i) sum += own.value[i];
    folded[thread] = sum;
  } else {
    DPM_UNROLL
    for (int i = 0; i < N; ++i) partial[thread * N + i] = own.value[i];
    __syncthreads();
    width *= N;
    of_group = layout.channels_of_group;
    const int folded_rows = threads / width < rows ? threads / width : rows;
    const int first_row = thread / width;
    float sum = 0.0F;
    for (int row = first_row; row < rows; row += folded_rows) sum += partial[row * width + thread - first_row * width];
    if (first_row < folded_rows) folded[thread] = sum;
    rows = folded_rows;
  }
  __syncthreads();
  constexpr int kLanes = static_cast<int>(kWarp);
  for (int group = thread / kLanes; group < groups; group += threads / kLanes) {
    float sum = 0.0F;
    for (int i = thread % kLanes; i < rows * of_group; i += kLanes) {
      const int row = i / of_group;
      sum += folded[row * width + group * of_group + i - row * of_group];
    }
    for (unsigned lanes = kWarp / 2; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(kWholeWarp, sum, lanes);
    if (thread % kLanes == 0) sums[group] = sum;
  }
  __syncthreads();
}

/// Tells whether the mean's product with the factor is folded into the added term, which saves an instruction per
/// element. In 16 bits a mean is at most some thousand times as large as the differences from it, so this is exact
/// enough; in float32 it would be too coarse.
template <typename T>
constexpr bool kFoldsMean = !std::is_same_v<T, float>;

/// Factors of the numbers of a thread's column, and terms that are added then.
template <int N>
struct GroupNormAffine {
  Floats<N> factor;
  Floats<N> term;

  __device__ GroupNormAffine() {
    DPM_UNROLL
    for (int i = 0; i < N; ++i) {
      factor.value[i] = 1.0F;
      term.value[i] = 0.0F;
    }
  }

  /// Gives channel i of the column mean 0 and variance 1. With the mean folded, `mean` is 0 from then on.
  template <typename T>
  __device__ void normalise(int i, float inverse, Floats<N>& mean) {
    factor.value[i] *= inverse;
    if constexpr (kFoldsMean<T>) {
      term.value[i] -= mean.value[i] * factor.value[i];
      mean.value[i] = 0.0F;
    }
  }

  /// Adds the parameters of the norm, and the scale and shift after it.
  template <typename T>
  __device__ void load(const GroupNormArguments<T>& a, std::int64_t n, int c) {
    multiply(load_floats<N>(a.gamma + c), 0.0F);
    add(load_floats<N>(a.beta + c));
    if (a.scale_shift == nullptr) return;
    const T* row = a.scale_shift + n * a.scale_shift_stride + c;
    multiply(load_floats<N>(row), 1.0F);
#if defined(__CUDACC__)
    // The barrier keeps the compiler from loading scale and shift at once, for which there are no registers.
    asm volatile("" ::: "memory");
#endif
    add(load_floats<N>(row + a.channels));
  }

 private:
  __device__ void multiply(const Floats<N>& by, float more) {
    DPM_UNROLL
    for (int i = 0; i < N; ++i) {
      factor.value[i] *= by.value[i] + more;
      term.value[i] *= by.value[i] + more;
    }
  }
  __device__ void add(const Floats<N>& more) {
    DPM_UNROLL
    for (int i = 0; i < N; ++i) term.value[i] += more.value[i];
  }
};

/// Numbers that are added to the channels of a thread's column. They move the channels' means and leave the differences
/// from these, so that nothing has to be added to the elements.
template <int N, typename T>
__device__ Floats<N> added_vector(const GroupNormArguments<T>& a, std::int64_t n, int c) {
  Floats<N> added{};
  if (a.vector != nullptr) added = load_floats<N>(a.vector + n * a.vector_stride + c);
  if (a.bias == nullptr) return added;
  const Floats<N> bias = load_floats<N>(a.bias + c);
  DPM_UNROLL
  for (int i = 0; i < N; ++i) added.value[i] += bias.value[i];
  return added;
}

/// Writes the held vectors, normed, at y, y + step... `affine` has the inverse deviations in its factors.
template <typename T, int N, int K>
__device__ void store_normed(T* y, int step, const GroupNormHeld<T, N, K>& held, const Floats<N>& mean,
                             const GroupNormAffine<N>& affine, bool silu) {
  DPM_UNROLL
  for (int k = 0; k < K; ++k) {
    if (k < held.count) {
      Floats<N> value = held.vector[k].unpack();
      DPM_UNROLL
      for (int i = 0; i < N; ++i) {
        const float centred = kFoldsMean<T> ? value.value[i] : value.value[i] - mean.value[i];
        value.value[i] = centred * affine.factor.value[i] + affine.term.value[i];
        if (silu) value.value[i] = silu_as<T>(value.value[i]);
      }
      store_vector(y + k * step, from_floats<T>(value));
    }
  }
}

}  // namespace dpm::cuda
