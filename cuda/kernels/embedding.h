// Vectors of times and labels.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// Sinusoids of times (Vaswani et al. 2017): with half = length / 2, y[n] is sin(time[n] * frequencies[i]) for i <
/// half, then the cosines, the other way round with `cosine_first`, then a zero if `length` is odd. Products and angles
/// are float32, as in the networks' original code; angles up to 1e5 are exact to float32's rounding.
template <typename T>
struct TimeEmbeddingArguments {
  const float* time;         ///< [batch]
  const float* frequencies;  ///< [half]
  T* y;                      ///< row n at y + n * y_stride
  std::int64_t y_stride;
  int batch;
  int length;
  bool cosine_first;
  bool logarithmic = false;  ///< of ln(time)
  float turn = 1;            ///< what products are multiplied by: 2 pi for frequencies of whole turns
};

template <typename T>
void time_embedding(const TimeEmbeddingArguments<T>& arguments, cudaStream_t stream);

/// y[n] = table[labels[n]], zero for a label that is not in the table (-1: no label). `labels` null: all zero.
template <typename T>
struct ClassEmbeddingArguments {
  const std::int32_t* labels;  ///< [batch]
  const T* table;              ///< [rows][channels]
  T* y;                        ///< row n at y + n * y_stride
  std::int64_t y_stride;
  int batch;
  int rows;
  int channels;
};

template <typename T>
void class_embedding(const ClassEmbeddingArguments<T>& arguments, cudaStream_t stream);

extern template void time_embedding(const TimeEmbeddingArguments<float>&, cudaStream_t);
extern template void time_embedding(const TimeEmbeddingArguments<Half>&, cudaStream_t);
extern template void time_embedding(const TimeEmbeddingArguments<Bfloat16>&, cudaStream_t);
extern template void class_embedding(const ClassEmbeddingArguments<float>&, cudaStream_t);
extern template void class_embedding(const ClassEmbeddingArguments<Half>&, cudaStream_t);
extern template void class_embedding(const ClassEmbeddingArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
