// Requests to load a network, which engines and trainers have in common.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>

#include "addon/convert/opened_network.h"
#include "engine/engine.h"

namespace dpm::addon {

/// What loading takes from its caller, read on the JavaScript thread.
struct LoadInputs {
  /// Reads a graph, options and, where there is one, a token that cancels. Throws Error(kArgument).
  LoadInputs(const Napi::CallbackInfo& info, const std::shared_ptr<Engine>& owner);

  std::shared_ptr<Engine> engine;
  std::shared_ptr<std::atomic<bool>> is_cancelled;
  std::shared_ptr<KnownWeights> known;
  OpenNetwork open;

  [[nodiscard]] bool cancelled() const { return is_cancelled->load(); }
  /// Opens the network's files, on the engine's thread. Reading from them throws Error(kAborted) or Error(kClosed) once
  /// the network is no longer wanted.
  [[nodiscard]] OpenedNetwork opened() const;
};

}  // namespace dpm::addon
