// The fused update of a step program on the GPU, with the arithmetic of backend/record.h.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "cuda/kernels/launch.h"

namespace dpm::cuda {

/// A register in device memory: row n starts at data + n * stride. `data` is null where the tensor is absent.
struct Rows {
  float* data;
  std::uint64_t stride;
};

/// A dpm_update_sample together with its record, in device memory.
struct UpdateSample {
  dpm_record record;
  std::uint32_t row;
  std::uint32_t network_row;
  std::uint32_t noise_row;
  std::uint32_t seed_low;
  std::uint32_t seed_high;
  std::uint32_t sample_index;
  std::uint32_t record_index;
  std::uint32_t draw;
  std::uint32_t condition_row;  ///< row of a trajectory's conditions (step.h), if it has them
};

/// A dpm_update in device memory.
struct UpdateArguments {
  std::uint32_t batch;
  std::uint64_t elements;
  const UpdateSample* samples;
  float* thresholds;  ///< array [batch], written by find_thresholds; read where a record clips dynamically
  Rows x;
  Rows y;
  Rows out;
  Rows head;
  Rows guide;
  Rows noise;
  Rows history[DPM_MAX_HISTORY];
};

/// Finds the thresholds of dynamic clipping (Saharia et al. 2022, section 2.3): the quantile clip_low of |x0|, linearly
/// interpolated between neighbours, from clip_high to clip_ceiling. One block per sample selects by the bits of the
/// numbers, so that nothing is sorted. Samples that do not clip dynamically are skipped.
void find_thresholds(const UpdateArguments& arguments, cudaStream_t stream);

/// Computes the whole record of every sample: each tensor is read once and written once, in 16-byte accesses where
/// sizes and addresses allow. Noise that is not given is drawn in the kernel (core/philox.h).
void update(const UpdateArguments& arguments, cudaStream_t stream);

}  // namespace dpm::cuda
