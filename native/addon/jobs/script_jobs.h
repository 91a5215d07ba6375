// A run whose predictions a JavaScript function makes: its beginning, its questions, its answers, its states.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "addon/jobs/promise_job.h"
#include "sampling/script_run.h"

namespace dpm::addon {

/// Arguments: request, elements of one sample, whether the programs read a second output.
class BeginScriptJob : public PromiseJob {
 public:
  BeginScriptJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Engine> engine);
  void run() override;

 protected:
  Napi::Value result(Napi::Env env) override;

 private:
  std::shared_ptr<Engine> engine_;
  NetworkShape shape_;
  RunRequest request_;
  std::shared_ptr<ScriptRun> run_;
};

/// Resolves with { x, times } of what is asked, both empty where a record does not evaluate, or with null at the end.
class AskJob : public PromiseJob {
 public:
  AskJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<ScriptRun> run)
      : PromiseJob(env, owner), run_(std::move(run)) {}
  void run() override { asked_ = run_->ask(); }

 protected:
  Napi::Value result(Napi::Env env) override;

 private:
  std::shared_ptr<ScriptRun> run_;
  bool asked_ = false;
};

/// Arguments: out, head; null where there is none.
class AnswerJob : public PromiseJob {
 public:
  AnswerJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<ScriptRun> run);
  void run() override { run_->answer(out_, head_, guide_); }

 private:
  std::shared_ptr<ScriptRun> run_;
  std::vector<float> out_;
  std::vector<float> head_;
  std::vector<float> guide_;
};

/// Resolves with the states.
class StatesJob : public PromiseJob {
 public:
  StatesJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<ScriptRun> run)
      : PromiseJob(env, owner), run_(std::move(run)) {}
  void run() override { states_ = run_->states_now(); }

 protected:
  Napi::Value result(Napi::Env env) override;

 private:
  std::shared_ptr<ScriptRun> run_;
  std::vector<float> states_;
};

/// Argument: the states to go on from.
class ReplaceJob : public PromiseJob {
 public:
  ReplaceJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<ScriptRun> run);
  void run() override { run_->replace(states_); }

 private:
  std::shared_ptr<ScriptRun> run_;
  std::vector<float> states_;
};

}  // namespace dpm::addon
