#include "addon/wraps/script_run_wrap.h"

#include <utility>

#include "addon/jobs/script_jobs.h"

namespace dpm::addon {

void ScriptRunWrap::define(Napi::Env env) {
  const Napi::Function constructor =
      DefineClass(env, "ScriptRun",
                  {InstanceMethod<&ScriptRunWrap::ask>("ask"), InstanceMethod<&ScriptRunWrap::answer>("answer"),
                   InstanceMethod<&ScriptRunWrap::states>("states"), InstanceMethod<&ScriptRunWrap::replace>("replace"),
                   InstanceMethod<&ScriptRunWrap::free>("free")});
  Environment::of(env).script_run_constructor = Napi::Persistent(constructor);
}

Napi::Object ScriptRunWrap::make(Napi::Env env, const std::shared_ptr<Engine>& engine, std::shared_ptr<ScriptRun> run) {
  Environment& environment = Environment::of(env);
  environment.constructing = true;
  Napi::Object object = environment.script_run_constructor.New({});
  ScriptRunWrap* self = Unwrap(object);
  self->engine_ = engine;
  self->run_ = std::move(run);
  return object;
}

ScriptRunWrap::ScriptRunWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ScriptRunWrap>(info) {
  if (!std::exchange(Environment::of(info.Env()).constructing, false)) {
    throw js_error(info.Env(), ErrorCode::kArgument, "runs are begun by an engine");
  }
}

const std::shared_ptr<ScriptRun>& ScriptRunWrap::run() const {
  if (!run_) throw Error(ErrorCode::kClosed, "the run was freed");
  return run_;
}

Napi::Value ScriptRunWrap::ask(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    const auto self = info.This().As<Napi::Object>();
    return submit(info.Env(), *engine_, std::make_unique<AskJob>(info.Env(), self, run()));
  });
}

Napi::Value ScriptRunWrap::answer(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_, std::make_unique<AnswerJob>(info, info.This().As<Napi::Object>(), run()));
  });
}

Napi::Value ScriptRunWrap::states(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    const auto self = info.This().As<Napi::Object>();
    return submit(info.Env(), *engine_, std::make_unique<StatesJob>(info.Env(), self, run()));
  });
}

Napi::Value ScriptRunWrap::replace(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_, std::make_unique<ReplaceJob>(info, info.This().As<Napi::Object>(), run()));
  });
}

void ScriptRunWrap::free(const Napi::CallbackInfo& /*info*/) { run_.reset(); }

}  // namespace dpm::addon
