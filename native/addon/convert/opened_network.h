// A network whose files are open, ready for an engine to load.
#pragma once

#include <functional>
#include <memory>

#include "engine/network.h"
#include "graph/graph.h"
#include "weights/weights.h"

namespace dpm::addon {

struct OpenedNetwork {
  /// The weights that the graph's constants refer to.
  Weights weights;
  graph::Graph graph;
  NetworkOptions options;
};

/// Opens the files of a request that was read on the JavaScript thread; called on the engine's thread. `check_wanted`
/// throws when the network is no longer wanted; `known` is what is known of weights that were loaded before.
using OpenNetwork =
    std::function<OpenedNetwork(std::function<void()> check_wanted, std::shared_ptr<KnownWeights> known)>;

}  // namespace dpm::addon
