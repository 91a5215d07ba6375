// Requests that join a batch.
#pragma once

#include <napi.h>

#include <memory>

#include "sampling/batch_request.h"

namespace dpm::addon {

/// Everything but what tells of the request. Throws Error(kArgument).
std::unique_ptr<BatchRequest> to_batch_request(const Napi::Object& object);

}  // namespace dpm::addon
