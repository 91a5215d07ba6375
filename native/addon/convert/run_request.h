// Requests to run programs, and their binary records.
#pragma once

#include <napi.h>

#include <vector>

#include "sampling/request.h"

namespace dpm::addon {

/// Everything but guides and what tells of the run. Throws Error(kArgument).
RunRequest to_run_request(const Napi::Object& object);
/// The networks that guide a run. Throws Error(kArgument), Error(kClosed) for a network that is closed.
std::vector<Guide> to_guides(const Napi::Object& object);
std::vector<dpm_record> to_records(const Napi::Value& value);

}  // namespace dpm::addon
