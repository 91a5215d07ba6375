// Evaluations of a network from random inputs.
#pragma once

#include <vector>

#include "engine/network.h"

namespace dpm::test {

/// The outputs of `batch` rows, of the second of two evaluations: what the first has left in tables is used.
std::vector<float> evaluate_twice(Network& network, int batch);

}  // namespace dpm::test
