// The canonical U-Net as JavaScript describes it.
#pragma once

#include <napi.h>

#include "unet/description.h"

namespace dpm::addon {

/// Throws Error(kArgument).
unet::Description to_description(const Napi::Object& object);

}  // namespace dpm::addon
