#include "addon/wraps/batch_wrap.h"

#include <utility>

#include "addon/convert/objects.h"

namespace dpm::addon {

void BatchWrap::define(Napi::Env env) {
  const Napi::Function constructor =
      DefineClass(env, "Batch",
                  {InstanceMethod<&BatchWrap::submit_request>("submit"), InstanceMethod<&BatchWrap::answer>("answer"),
                   InstanceMethod<&BatchWrap::abandon>("abandon"), InstanceMethod<&BatchWrap::stats>("stats"),
                   InstanceMethod<&BatchWrap::close>("close")});
  Environment::of(env).batch_constructor = Napi::Persistent(constructor);
}

Napi::Object BatchWrap::make(Napi::Env env, const std::shared_ptr<Engine>& engine, OpenedBatch batch,
                             std::uint64_t bytes) {
  Environment& environment = Environment::of(env);
  environment.constructing = true;
  Napi::Object object = environment.batch_constructor.New({});
  set_constant(object, "bytes", Napi::Number::New(env, static_cast<double>(bytes)));
  BatchWrap* self = Unwrap(object);
  self->engine_ = engine;
  self->batch_ = std::move(batch);
  return object;
}

BatchWrap::BatchWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<BatchWrap>(info) {
  if (!std::exchange(Environment::of(info.Env()).constructing, false)) {
    throw js_error(info.Env(), ErrorCode::kArgument, "batches are opened by a network or an engine");
  }
}

/// Requests keep this object alive, so there is none left.
BatchWrap::~BatchWrap() {
  if (engine_) engine_->remove(*batch_.batch);
}

Napi::Value BatchWrap::submit_request(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&]() -> Napi::Value {
    return submit_to_batch(info, info.This().As<Napi::Object>(), engine_, batch_);
  });
}

Napi::Value BatchWrap::answer(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_,
                  std::make_unique<AnswerBatchJob>(info, info.This().As<Napi::Object>(), batch_.batch));
  });
}

Napi::Value BatchWrap::abandon(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_,
                  std::make_unique<AbandonBatchJob>(info, info.This().As<Napi::Object>(), batch_.batch));
  });
}

Napi::Value BatchWrap::stats(const Napi::CallbackInfo& info) {
  const BatchStatistics counted = batch_.batch->statistics();
  Napi::Object object = Napi::Object::New(info.Env());
  set_number(object, "steps", counted.steps);
  set_number(object, "rows", counted.rows);
  set_number(object, "paddedRows", counted.padded_rows);
  set_number(object, "seconds", counted.seconds);
  set_number(object, "resident", counted.resident);
  set_number(object, "waiting", counted.waiting);
  set_number(object, "finished", counted.finished);
  set_number(object, "cancelled", counted.cancelled);
  set_number(object, "lastStepAt", counted.last_step_at);
  return object;
}

Napi::Value BatchWrap::close(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&]() -> Napi::Value {
    if (!closing_.IsEmpty()) return closing_.Value();
    batch_.on_question.reset();
    const Napi::Promise promise =
        submit(info.Env(), *engine_,
               std::make_unique<CloseBatchJob>(info.Env(), info.This().As<Napi::Object>(), engine_, batch_.batch));
    closing_ = Napi::Reference<Napi::Promise>::New(promise, 1);
    return promise;
  });
}

}  // namespace dpm::addon
