// Requests to run programs, with their binary records, read from JavaScript.
#pragma once

#include <napi.h>

#include <vector>

#include "sampling/request.h"

namespace dpm::addon {

/// Reads a request, without its guides and callbacks. Throws Error(kArgument).
RunRequest to_run_request(const Napi::Object& object);
/// Reads the networks that guide a run. Throws Error(kArgument), or Error(kClosed) for a network that is closed.
std::vector<Guide> to_guides(const Napi::Object& object);
std::vector<dpm_record> to_records(const Napi::Value& value);

}  // namespace dpm::addon
