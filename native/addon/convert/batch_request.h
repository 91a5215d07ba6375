// Requests that join a batch, read from JavaScript.
#pragma once

#include <napi.h>

#include <memory>

#include "sampling/batch_request.h"

namespace dpm::addon {

/// Reads a request, without its callbacks. Throws Error(kArgument).
std::unique_ptr<BatchRequest> to_batch_request(const Napi::Object& object);

}  // namespace dpm::addon
