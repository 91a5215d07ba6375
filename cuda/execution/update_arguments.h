// Conversion of the requests of backend.h to the kernels' arguments.
#pragma once

#include "backend/backend.h"
#include "cuda/kernels/update.h"

namespace dpm::cuda {

/// Returns the first element and stride of a view, null where the tensor is absent.
Rows rows_of(const dpm_view& view);

UpdateSample update_sample_of(const dpm_update_sample& sample);

bool clips_dynamically(const UpdateSample& sample);

/// Converts everything except the samples and the thresholds.
UpdateArguments arguments_of(const dpm_update& update);

}  // namespace dpm::cuda
