// Evaluations of a network from random inputs.
#pragma once

#include <vector>

#include "engine/network.h"

namespace dpm::test {

/// Evaluates twice and returns the second outputs of `batch` rows, so that tables filled by the first are used.
std::vector<float> evaluate_twice(Network& network, int batch);

}  // namespace dpm::test
