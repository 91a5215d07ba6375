// A network's layers with their packed weights.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cuda/execution/condition_path.h"
#include "cuda/execution/graph_cache.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {

/// Numbers of tensors of derivatives that a network may be given, and that it may return.
constexpr std::size_t kMostGiven = 9;
constexpr std::size_t kMostDerived = 6;

struct Network : Buried {
  /// Packs the weights of `graph` on the GPU. Throws Error(kUnsupported) for tensors that are not standard ones.
  Network(Device& owner, const dpm_graph& graph);

  /// Queues the packing of the weights that move (dpm_network_entries::repack), as a graph from the second time on.
  /// Their addresses stay, so that captured graphs read the new numbers.
  void repack(const dpm_repack& request);
  [[nodiscard]] bool has_moving_weights() const { return !moving.empty(); }

  /// A standard tensor of the graph, -1 where it has none.
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
  /// Tensors of derivatives: those that are given, and the results.
  std::array<Bound, kMostGiven> given;
  std::array<Bound, kMostDerived> derived;
  std::vector<ValueInfo> values;
  /// Tensors that are sums over rows, by ValueInfo::sum.
  std::vector<Bound> sums;
  ConditionPath conditions;
  /// Weights that are packed again from the parameters of a training run.
  std::vector<MovingWeights> moving;
  std::vector<std::unique_ptr<Layer>> layers;
  GraphCache repacks;
  /// Names of the layers.
  std::vector<std::string> names;
  /// Readers of layers that run beside the others, by layer; -1 for all other layers.
  std::vector<int> joined_by;
  /// Norms whose result a layer alone reads, by layer; -1 for all other layers.
  std::vector<int> norm_before;
  /// Tells whether a layer is a convolution directly followed by the norm of its result.
  std::vector<bool> norm_follows;
  /// Norms that convolutions take over, by the number of samples.
  std::map<int, std::set<std::size_t>> taken_over;
};

}  // namespace dpm::cuda
