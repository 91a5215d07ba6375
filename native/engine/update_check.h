// Checks that what reaches a device touches only what is there: what memory safety needs, once for all devices.
#pragma once

#include "backend/backend.h"

namespace dpm {

/// Throws Error(kArgument) when a mode, slot, clipping quantile or ceiling is out of range.
void check_record(const dpm_record& record);

/// Throws Error(kArgument) when a record is out of range or uses a tensor that is absent.
void check_update(const dpm_update& update);

/// Throws Error(kArgument) when a tensor is absent or the kind unknown.
void check_reduce(const dpm_reduce& reduce);

}  // namespace dpm
