// Checks of a run request.
#pragma once

#include "engine/network.h"
#include "sampling/request.h"

namespace dpm {

/// Throws Error(kArgument) when `request` does not fit a network of `shape`.
void check_request(const RunRequest& request, const NetworkShape& shape);

/// Throws Error(kArgument) when the guides of `request` do not fit its samples or `network`.
void check_guides(const RunRequest& request, const Network& network);

}  // namespace dpm
