// Facts about a loaded network as JavaScript objects.
#pragma once

#include <napi.h>

#include "engine/gradients.h"
#include "engine/network.h"

namespace dpm::addon {

Napi::Object to_object(Napi::Env env, const NetworkInfo& info);
Napi::Object to_object(Napi::Env env, const GradientPlaces& gradients);

}  // namespace dpm::addon
