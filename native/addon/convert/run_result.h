// What a run gives, as JavaScript sees it.
#pragma once

#include <napi.h>

#include "sampling/run_result.h"

namespace dpm::addon {

/// Images in the form that they have.
Napi::Value to_array(Napi::Env env, RunImages&& images);
Napi::Object to_object(Napi::Env env, RunResult&& result);

}  // namespace dpm::addon
