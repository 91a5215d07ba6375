// Checks, common to all devices, that requests to a device touch only existing memory.
#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace dpm {

/// Throws Error(kArgument) when a mode, slot, clipping quantile or ceiling is out of range.
void check_record(const dpm_record& record);

/// Throws Error(kArgument) when a record is out of range or uses a tensor that is absent.
void check_update(const dpm_update& update);

/// Throws Error(kArgument) as check_update does, and when a sample does not evaluate or is not one of the update's, or
/// when more than `rows` rows are asked for.
void check_step(const dpm_step& step, std::uint32_t rows);

/// Throws Error(kArgument) when a tensor is absent or the kind unknown.
void check_reduce(const dpm_reduce& reduce);

}  // namespace dpm
