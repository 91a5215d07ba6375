// Requests to run programs, and their binary records.
#pragma once

#include <napi.h>

#include <vector>

#include "sampling/request.h"

namespace dpm::addon {

/// Everything but `cancelled` and `progress`. Throws Error(kArgument).
RunRequest to_run_request(const Napi::Object& object);
std::vector<dpm_record> to_records(const Napi::Value& value);

}  // namespace dpm::addon
