// The canonical U-Net as JavaScript describes it.
#pragma once

#include <napi.h>

#include "addon/convert/opened_network.h"

namespace dpm::addon {

/// Of the arguments `description` and `weights` of `loadNetwork`. Throws Error(kArgument).
OpenNetwork to_unet_network(const Napi::Object& description, const Napi::Object& weights);

}  // namespace dpm::addon
