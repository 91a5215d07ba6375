// A run: a batch of one request that holds the engine until it is done.
#pragma once

#include <atomic>

#include "engine/network.h"
#include "sampling/run_result.h"

namespace dpm {

/// Runs all samples to the end of their programs, `batch` at a time. Throws Error(kAborted) when `cancelled` is set and
/// Error(kClosed) when `stopping` is set, both before the next evaluation; Error(kArgument) when the request is
/// inconsistent.
RunResult run_programs(Network& network, RunRequest request, const std::atomic<bool>& stopping);

}  // namespace dpm
