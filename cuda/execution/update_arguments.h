// The requests of backend.h as kernels see them.
#pragma once

#include "backend/backend.h"
#include "cuda/kernels/update.h"

namespace dpm::cuda {

/// First element and stride of a view, null where the tensor is absent.
Rows rows_of(const dpm_view& view);

UpdateSample update_sample_of(const dpm_update_sample& sample);

bool clips_dynamically(const UpdateSample& sample);

/// Everything but the samples and the thresholds.
UpdateArguments arguments_of(const dpm_update& update);

}  // namespace dpm::cuda
