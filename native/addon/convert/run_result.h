// Results of runs as JavaScript values.
#pragma once

#include <napi.h>

#include "sampling/run_result.h"

namespace dpm::addon {

/// Returns images as a typed array of floats or of levels.
Napi::Value to_array(Napi::Env env, RunImages&& images);
Napi::Object to_object(Napi::Env env, RunResult&& result);

}  // namespace dpm::addon
