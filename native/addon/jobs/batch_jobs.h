// A batch that requests join while it runs: opening it, a request, the answers of a script, closing it.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "addon/jobs/promise_job.h"
#include "sampling/batch.h"

namespace dpm::addon {

/// A batch, and the function that is asked where there is one.
struct OpenedBatch {
  std::shared_ptr<Batch> batch;
  /// Released on the JavaScript thread: others hold it weakly.
  std::shared_ptr<Napi::FunctionReference> on_question;
};

/// Arguments: options. Of a network, or where that is null of a function: elements, classes and whether it gives a
/// second output are among its options then.
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
  bool guides_ = false;
  BatchOptions options_;
  OpenedBatch opened_;
  std::uint64_t bytes_ = 0;
};

/// Hands a request to the batch; its promise is settled when all of its samples are done.
Napi::Promise submit_to_batch(const Napi::CallbackInfo& info, const Napi::Object& owner,
                              const std::shared_ptr<Engine>& engine, const OpenedBatch& batch);

/// Arguments: what the function answers, and the second output of a prediction; null where there is none.
class AnswerBatchJob : public PromiseJob {
 public:
  AnswerBatchJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Batch> batch);
  void run() override { batch_->answer(values_, head_); }

 private:
  std::shared_ptr<Batch> batch_;
  std::vector<float> values_;
  std::vector<float> head_;
};

/// Argument: the message with which the requests of the step fail.
class AbandonBatchJob : public PromiseJob {
 public:
  AbandonBatchJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Batch> batch);
  void run() override;

 private:
  std::shared_ptr<Batch> batch_;
  std::string message_;
};

/// Ends a batch and all of its requests, also when the engine refuses work.
class CloseBatchJob : public LastJob {
 public:
  CloseBatchJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, std::shared_ptr<Batch> batch)
      : LastJob(env, owner), engine_(std::move(engine)), batch_(std::move(batch)) {}
  void run() override;

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Batch> batch_;
};

}  // namespace dpm::addon
