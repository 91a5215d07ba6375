// Predictions on device tensors, with guidance, read from JavaScript.
#pragma once

#include <napi.h>

#include "sampling/predict.h"

namespace dpm::addon {

/// Reads the arguments x, t, labels, guidance, unconditionalLabel, out, head. Throws Error(kArgument) naming the
/// argument that does not fit the network.
PredictInputs to_predict_inputs(const Napi::CallbackInfo& info, const Network& network);

}  // namespace dpm::addon
