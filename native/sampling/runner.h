// The one sampling loop: every sample has a program and a program counter, one evaluation serves all samples that ask
// for one, one fused update follows.
#pragma once

#include <atomic>

#include "engine/network.h"
#include "sampling/run_result.h"

namespace dpm {

/// Runs all samples to the end of their programs, `batch` at a time. Throws Error(kAborted) when `cancelled` is set,
/// Error(kClosed) when `stopping` is, both before the next evaluation; Error(kArgument) when the request is
/// inconsistent.
RunResult run_programs(Network& network, const RunRequest& request, const std::atomic<bool>& stopping);

}  // namespace dpm
