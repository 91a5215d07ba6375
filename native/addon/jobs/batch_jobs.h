// A batch that requests join while it runs: opening it, a request, the answers of a script, closing it.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "addon/jobs/promise_job.h"
#include "sampling/lane.h"

namespace dpm::addon {

/// A lane, and where a script predicts for it, its evaluator and the function that is asked; null where a network does.
struct OpenedBatch {
  std::shared_ptr<Lane> lane;
  ScriptEvaluator* script = nullptr;
  /// Released on the JavaScript thread: others hold it weakly.
  std::shared_ptr<Napi::FunctionReference> on_question;
};

/// Arguments: options. Of a network, or where that is null of a script: elements, classes and whether it gives a second
/// output are among its options then, and `onQuestion`.
class OpenBatchJob : public PromiseJob {
 public:
  OpenBatchJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Engine> engine,
               std::shared_ptr<Network> network);
  void run() override;

 protected:
  Napi::Value result(Napi::Env env) override;

 private:
  [[nodiscard]] std::unique_ptr<Evaluator> make_evaluator();

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Network> network_;
  NetworkShape script_shape_;
  LaneOptions options_;
  OpenedBatch opened_;
  std::uint64_t bytes_ = 0;
};

/// Hands a request to the lane; its promise is settled when all of its samples are done.
Napi::Promise submit_to_batch(const Napi::CallbackInfo& info, const Napi::Object& owner,
                              const std::shared_ptr<Engine>& engine, const std::shared_ptr<Lane>& lane);

/// Arguments: out, head; null where there is none.
class AnswerBatchJob : public PromiseJob {
 public:
  AnswerBatchJob(const Napi::CallbackInfo& info, const Napi::Object& owner, OpenedBatch batch);
  void run() override;

 private:
  OpenedBatch batch_;
  std::vector<float> out_;
  std::vector<float> head_;
};

/// Argument: the message with which the requests of the step fail.
class AbandonBatchJob : public PromiseJob {
 public:
  AbandonBatchJob(const Napi::CallbackInfo& info, const Napi::Object& owner, OpenedBatch batch);
  void run() override;

 private:
  OpenedBatch batch_;
  std::string message_;
};

/// Ends a lane and all of its requests, also when the engine refuses work.
class CloseBatchJob : public LastJob {
 public:
  CloseBatchJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, std::shared_ptr<Lane> lane)
      : LastJob(env, owner), engine_(std::move(engine)), lane_(std::move(lane)) {}
  void run() override;

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Lane> lane_;
};

}  // namespace dpm::addon
