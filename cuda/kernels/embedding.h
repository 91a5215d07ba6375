// Embedding vectors of times and labels, the gradient of their table, and the label's score for logits.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// The embedded quantity: the time or the label of each sample of the batch. Both null: no labels, which is -1.
struct Embedded {
  const float* times;
  const std::int32_t* labels;

  __host__ __device__ float operator[](std::int64_t n) const {
    if (times != nullptr) return times[n];
    return labels == nullptr ? -1.0F : static_cast<float>(labels[n]);
  }
  /// Returns the row of a table of `rows` rows that sample n has, truncated; -1 where the table has no such row.
  __host__ __device__ std::int64_t row(std::int64_t n, int rows) const {
    const float number = (*this)[n];
    return number > -1.0F && number < static_cast<float>(rows) ? static_cast<std::int64_t>(number) : -1;
  }
};

/// Arguments of sinusoids of times (Vaswani et al. 2017): with half = length / 2, y[n] is sin(time[n] * frequencies[i])
/// for i < half, then the cosines, the other way round with `cosine_first`, then a zero if `length` is odd. Products
/// and angles are float32, as in the networks' original code; angles up to 1e5 are exact to float32's rounding.
template <typename T>
struct TimeEmbeddingArguments {
  Embedded time;             ///< time or label
  const float* frequencies;  ///< array [half]
  T* y;                      ///< array with row n at y + n * y_stride
  std::int64_t y_stride;
  int batch;
  int length;
  bool cosine_first;
  bool logarithmic = false;  ///< embeds ln(time) instead of the time
  float turn = 1;            ///< factor of the products: 2 pi for frequencies of whole turns
};

template <typename T>
void time_embedding(const TimeEmbeddingArguments<T>& arguments, cudaStream_t stream);

/// y[n] = table[rows[n]], truncated; zero where the table has no such row.
template <typename T>
struct RowEmbeddingArguments {
  Embedded row;
  const T* table;  ///< array [rows][channels]
  T* y;            ///< array with row n at y + n * y_stride
  std::int64_t y_stride;
  int batch;
  int rows;
  int channels;
};

template <typename T>
void row_embedding(const RowEmbeddingArguments<T>& arguments, cudaStream_t stream);

/// sum[rows[n]] += d[n], truncated, in the order of n; nothing where the table has no such row.
template <typename T>
struct TableGradientArguments {
  Embedded row;
  const T* d;  ///< array with row n at d + n * d_stride
  std::int64_t d_stride;
  float* sum;  ///< array [rows][channels]
  int batch;
  int rows;
  int channels;
};

template <typename T>
void table_gradient(const TableGradientArguments<T>& arguments, cudaStream_t stream);

/// Arguments of the derivative of ln p(label) by logits: 1 for the label and 0 for others, minus softmax; zeros where
/// there is no such label.
template <typename T>
struct LabelScoreArguments {
  Embedded label;
  const T* x;  ///< array with row n at x + n * x_stride
  std::int64_t x_stride;
  T* y;  ///< array with row n at y + n * y_stride
  std::int64_t y_stride;
  int batch;
  int classes;
};

template <typename T>
void label_score(const LabelScoreArguments<T>& arguments, cudaStream_t stream);

extern template void time_embedding(const TimeEmbeddingArguments<float>&, cudaStream_t);
extern template void time_embedding(const TimeEmbeddingArguments<Half>&, cudaStream_t);
extern template void time_embedding(const TimeEmbeddingArguments<Bfloat16>&, cudaStream_t);
extern template void row_embedding(const RowEmbeddingArguments<float>&, cudaStream_t);
extern template void row_embedding(const RowEmbeddingArguments<Half>&, cudaStream_t);
extern template void row_embedding(const RowEmbeddingArguments<Bfloat16>&, cudaStream_t);
extern template void table_gradient(const TableGradientArguments<float>&, cudaStream_t);
extern template void table_gradient(const TableGradientArguments<Half>&, cudaStream_t);
extern template void table_gradient(const TableGradientArguments<Bfloat16>&, cudaStream_t);
extern template void label_score(const LabelScoreArguments<float>&, cudaStream_t);
extern template void label_score(const LabelScoreArguments<Half>&, cudaStream_t);
extern template void label_score(const LabelScoreArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
