// A network as an engine loads it, once its files are open.
#pragma once

#include <functional>
#include <memory>

#include "engine/network.h"
#include "graph/graph.h"
#include "weights/weights.h"

namespace dpm::addon {

struct OpenedNetwork {
  /// What the graph's constants refer to.
  Weights weights;
  graph::Graph graph;
  NetworkOptions options;
};

/// Opens the files of a request that was read on the JavaScript thread; called on the engine's. `check_wanted` throws
/// when nobody wants the network any more; `digests` is what was read of the files before.
using OpenNetwork =
    std::function<OpenedNetwork(std::function<void()> check_wanted, std::shared_ptr<WeightDigests> digests)>;

}  // namespace dpm::addon
