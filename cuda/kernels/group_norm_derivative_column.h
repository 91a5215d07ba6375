// Operations of group norm's derivative on the elements of a thread's column.
#pragma once

#include "cuda/kernels/group_norm_derivative.h"
#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/silu.h"

namespace dpm::cuda {

/// A column of N channels: the moments of their groups, and the norm's factors for a normalised number.
template <int N>
struct GroupNormColumn {
  Floats<N> mean;
  Floats<N> inverse;
  Floats<N> scale;
  Floats<N> shift;

  /// Loads scale and shift of channels c, c + 1... of sample n.
  template <typename T>
  __device__ void load(const GroupNormArguments<T>& a, std::int64_t n, int c) {
    scale = load_floats<N>(a.gamma + c);
    shift = load_floats<N>(a.beta + c);
    if (a.scale_shift == nullptr) return;
    const T* row = a.scale_shift + n * a.scale_shift_stride + c;
    const Floats<N> by = load_floats<N>(row);
    const Floats<N> more = load_floats<N>(row + a.channels);
    DPM_UNROLL
    for (int i = 0; i < N; ++i) {
      scale.value[i] *= 1.0F + by.value[i];
      shift.value[i] = shift.value[i] * (1.0F + by.value[i]) + more.value[i];
    }
  }

  [[nodiscard]] __device__ float normed(int i, float x) const { return (x - mean.value[i]) * inverse.value[i]; }

  /// Returns the slope of the operations after the normalisation.
  template <typename T>
  [[nodiscard]] __device__ float slope(int i, float normed, bool silu) const {
    return silu ? scale.value[i] * silu_slope_as<T>(normed * scale.value[i] + shift.value[i]) : scale.value[i];
  }

  /// Returns the slope of the SiLU alone.
  template <typename T>
  [[nodiscard]] __device__ float slope_of_silu(int i, float normed, bool silu) const {
    return silu ? silu_slope_as<T>(normed * scale.value[i] + shift.value[i]) : 1.0F;
  }
};

/// Sums over the given numbers, and over their products with the normalised map: first of a thread, then the means of
/// each channel's group.
template <int N>
struct GroupNormGiven {
  Floats<N> sum;
  Floats<N> product;

  template <typename T>
  __device__ void add(const GroupNormDerivativeArguments<T>& a, const GroupNormColumn<N>& column, const Floats<N>& x,
                      const Floats<N>& given) {
    DPM_UNROLL
    for (int i = 0; i < N; ++i) {
      const float normed = column.normed(i, x.value[i]);
      const float value =
          a.is_backward ? given.value[i] * column.template slope<T>(i, normed, a.norm.silu) : given.value[i];
      sum.value[i] += value;
      product.value[i] += value * normed;
    }
  }

  /// Computes the result of elements from the means.
  template <typename T>
  [[nodiscard]] __device__ Floats<N> result(const GroupNormDerivativeArguments<T>& a, const GroupNormColumn<N>& column,
                                            const Floats<N>& x, const Floats<N>& given) const {
    Floats<N> result;
    DPM_UNROLL
    for (int i = 0; i < N; ++i) {
      const float normed = column.normed(i, x.value[i]);
      const float slope = column.template slope<T>(i, normed, a.norm.silu);
      const float value = a.is_backward ? given.value[i] * slope : given.value[i];
      const float centred = (value - sum.value[i] - normed * product.value[i]) * column.inverse.value[i];
      result.value[i] = a.is_backward ? centred : centred * slope;
    }
    return result;
  }
};

/// Computes the derivative in three kernels with vectors of N channels; returns false where they cannot be used. The
/// workspace receives the moments of every chunk of every group, then sums over its elements.
template <int N, typename T>
bool group_norm_derivative_by_chunks(const GroupNormDerivativeArguments<T>& arguments, cudaStream_t stream);

/// Computes the derivative for groups with more channels than a block has threads: one block per group reads it four
/// times.
template <typename T>
void group_norm_derivative_of_wide_groups(const GroupNormDerivativeArguments<T>& arguments, cudaStream_t stream);

}  // namespace dpm::cuda
