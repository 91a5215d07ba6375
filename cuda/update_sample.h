// dpm_update_sample as kernels see it.
#pragma once

#include "cuda/kernels/update.h"

namespace dpm::cuda {

inline UpdateSample update_sample_of(const dpm_update_sample& sample) {
  return {*sample.record,   sample.row,          sample.network_row,  sample.noise_row, sample.seed_low,
          sample.seed_high, sample.sample_index, sample.record_index, sample.draw};
}

inline bool clips_dynamically(const UpdateSample& sample) { return sample.record.clip == DPM_CLIP_DYNAMIC; }

}  // namespace dpm::cuda
