// A batch that requests join while it runs, opened for JavaScript.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/environment.h"
#include "sampling/batch.h"

namespace dpm::addon {

/// A batch, and the function that is asked where there is one.
struct OpenedBatch {
  std::shared_ptr<Batch> batch;
  /// Released on the JavaScript thread: others hold it weakly.
  std::shared_ptr<Napi::FunctionReference> on_question;
  /// Memory that was taken for it.
  std::uint64_t bytes = 0;
};

/// A batch to be opened. Its evaluations are those of a network, or of a function where there is none.
class BatchOpening {
 public:
  /// Argument: options; without a network, elements, classes and whether there is a second output are among them.
  /// Throws Error(kArgument).
  BatchOpening(const Napi::CallbackInfo& info, std::shared_ptr<Engine> engine, std::shared_ptr<Network> network);
  /// On the engine's thread.
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
