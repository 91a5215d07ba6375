// The choice of a graph's results that are kept in float32.
#pragma once

#include "backend/backend.h"
#include "core/dtype.h"
#include "cuda/kernels/prediction.h"

namespace dpm::cuda {

/// Returns the shape of a convolution of the graph.
PredictionShape prediction_shape(const dpm_graph& graph, const dpm_node& node);

/// Returns whether `value` is the network's prediction and the result of a convolution that make_prediction takes.
/// Rounding it to 16 bits would make the errors of the bundled network a quarter to a third larger.
bool is_prediction(const dpm_graph& graph, int value, DType dtype);

}  // namespace dpm::cuda
