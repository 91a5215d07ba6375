// A network's layers with their packed weights.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cuda/execution/condition_path.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {

/// Tensors of derivatives that a network may be given, and that it may return.
constexpr std::size_t kMostDerivatives = 3;

struct Network : Buried {
  /// Packs the weights of `graph` on the card. Throws Error(kUnsupported) for tensors that are none of the standard
  /// ones.
  Network(Device& owner, const dpm_graph& graph);

  /// The standard tensors of the graph, -1 where it has none.
  struct Bound {
    int binding = -1;
    int value = -1;
  };

  Device& device;
  std::uint32_t bindings;
  Bound image;
  Bound time;
  Bound label;
  Bound output;
  Bound head;
  /// What is pulled back or pushed forward, and what comes of it.
  std::array<Bound, kMostDerivatives> given;
  std::array<Bound, kMostDerivatives> derived;
  std::vector<ValueInfo> values;
  ConditionPath conditions;
  std::vector<std::unique_ptr<Layer>> layers;
  /// Of the layers.
  std::vector<std::string> names;
  /// Of a layer that runs beside the others, the one that reads its result; -1 for all others.
  std::vector<int> joined_by;
  /// Of a layer that alone reads the result of a norm, that norm's; -1 for all others.
  std::vector<int> norm_before;
  /// Whether a layer is a convolution that the norm of its result comes right after.
  std::vector<bool> norm_follows;
  /// Norms that convolutions take over, by the number of samples.
  std::map<int, std::set<std::size_t>> taken_over;
};

}  // namespace dpm::cuda
