// Small operations on the registers of a run: copies of rows, sums over rows, 8-bit levels.
#pragma once

#include "cuda/kernels/update.h"

namespace dpm::cuda {

/// Marks the row of a sample that `gather` leaves out.
constexpr std::uint32_t kNoRow = 0xFFFFFFFFu;

/// destination[network_row] = input_scale * (read_y ? y : x)[row] for every sample, like dpm_gather.
struct GatherArguments {
  std::uint32_t batch;
  std::uint64_t elements;
  const UpdateSample* samples;
  Rows x;
  Rows y;
  Rows destination;
};
void gather(const GatherArguments& arguments, cudaStream_t stream);

/// Arguments of a reduction to one number per row, like dpm_reduce: sums in double, in an order that depends on the
/// number of elements alone.
struct ReduceArguments {
  dpm_reduction kind;
  std::uint32_t batch;
  std::uint64_t elements;
  Rows a;
  Rows b;  ///< second operand, for DPM_REDUCE_DOT only
  double* result;
};
void reduce(const ReduceArguments& arguments, cudaStream_t stream);

/// Sets levels[i] to the 8-bit level of values[i] (update::level).
void convert_to_levels(const float* values, std::uint8_t* levels, std::uint64_t elements, cudaStream_t stream);

}  // namespace dpm::cuda
