// Cases of the table of operations with the reference device's results, with which other devices are compared.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operations/operations.h"

namespace dpm::test {

/// The derivative of a case's graph, and its result on the reference device.
struct KnownDerivative {
  graph::Graph graph;
  const char* result;  ///< name of the result's binding
  GraphInputs inputs;
  std::vector<float> expected;
};

/// A case with its result on the reference device.
struct KnownCase {
  std::string name;
  int index;
  Case made;
  std::vector<float> expected;
  std::optional<KnownDerivative> pullback;
  std::optional<KnownDerivative> pushforward;
};

/// Returns the cases of an operation except those for speed, computed once for all devices. Cases without a derivative
/// have to be refused by name.
const std::vector<KnownCase>& known_cases(const Operation& operation);

/// Returns the result of a derivative on a device for `batch` samples.
std::vector<float> evaluated(const std::shared_ptr<Device>& device, const KnownDerivative& derivative, int batch);

}  // namespace dpm::test
