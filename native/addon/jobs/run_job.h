// A run of programs asked for by JavaScript: its progress, its cancellation, its images.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/jobs/promise_job.h"
#include "engine/engine.h"
#include "engine/network.h"

namespace dpm::addon {

/// Of the call `run(request)`. Throws Error(kArgument).
std::unique_ptr<PromiseJob> make_run_job(const Napi::CallbackInfo& info, std::shared_ptr<Engine> engine,
                                         std::shared_ptr<Network> network);

}  // namespace dpm::addon
