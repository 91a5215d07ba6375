// Opening of a batch, which requests join while it runs, for JavaScript.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/environment.h"
#include "sampling/batch.h"

namespace dpm::addon {

/// An open batch, with the function that it asks where there is one.
struct OpenedBatch {
  std::shared_ptr<Batch> batch;
  /// The function, released on the JavaScript thread; other owners hold it weakly.
  std::shared_ptr<Napi::FunctionReference> on_question;
  /// Memory that the batch has allocated, in bytes.
  std::uint64_t bytes = 0;
};

/// A batch to be opened. Its evaluations come from a network, or from a function where there is none.
class BatchOpening {
 public:
  /// Reads the argument `options`; without a network it includes elements, classes and whether there is a second
  /// output. Throws Error(kArgument).
  BatchOpening(const Napi::CallbackInfo& info, std::shared_ptr<Engine> engine, std::shared_ptr<Network> network);
  /// Opens the batch, on the engine's thread.
  void open();
  [[nodiscard]] const OpenedBatch& opened() const { return opened_; }

 private:
  [[nodiscard]] std::unique_ptr<Evaluator> make_evaluator() const;

  Environment* environment_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Network> network_;
  NetworkShape script_shape_;
  bool guides_ = false;
  BatchOptions options_;
  OpenedBatch opened_;
};

}  // namespace dpm::addon
