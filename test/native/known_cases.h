// Cases of the table of operations with what the reference device makes of them: what other devices are compared with.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operations/operations.h"

namespace dpm::test {

/// A graph that a derivative has made of a case's, and what comes of it on the reference device.
struct KnownDerivative {
  graph::Graph graph;
  const char* result;  ///< the name of its binding
  GraphInputs inputs;
  std::vector<float> expected;
};

/// A case with what comes of it on the reference device.
struct KnownCase {
  std::string name;
  int index;
  Case made;
  std::vector<float> expected;
  std::optional<KnownDerivative> pullback;
  std::optional<KnownDerivative> pushforward;
};

/// The cases of an operation but those for speed, computed once for all devices. Those without a derivative have to be
/// refused by name.
const std::vector<KnownCase>& known_cases(const Operation& operation);

/// What a device makes of a derivative for `batch` samples.
std::vector<float> evaluated(const std::shared_ptr<Device>& device, const KnownDerivative& derivative, int batch);

}  // namespace dpm::test
