#include "addon/wraps/batch_wrap.h"

#include <utility>

#include "addon/call.h"
#include "addon/convert/batch_request.h"
#include "addon/convert/objects.h"
#include "addon/convert/run_result.h"
#include "addon/convert/typed_arrays.h"
#include "addon/watch.h"

namespace dpm::addon {
namespace {

/// State of a request until its promise is settled.
struct RequestCall {
  std::unique_ptr<Watch> watch;
  std::unique_ptr<Napi::FunctionReference> on_image;
  BatchOutcome outcome;

  [[nodiscard]] const Napi::Error* thrown() const { return watch->thrown(); }

  /// Sets the request's callbacks from `options`.
  void tell(const Napi::Object& options, bool asks, BatchRequest& request) {
    watch->watch(request.run);
    if (asks) watch->report_every_step();
    const Napi::Value function = options.Get("onImage");
    if (!function.IsFunction()) return;
    on_image = std::make_unique<Napi::FunctionReference>(Napi::Persistent(function.As<Napi::Function>()));
    request.image = [watch = watch.get(), on_image = on_image.get()](std::uint32_t sample, RunImages image) {
      watch->post([on_image, sample, image = std::move(image)](Napi::Env env) mutable {
        on_image->Call({Napi::Number::New(env, sample), to_array(env, std::move(image))});
      });
    };
  }
};

Napi::Value to_outcome(Napi::Env env, RequestCall& call) {
  Napi::Object object = to_object(env, std::move(call.outcome.result));
  set_number(object, "queued", 1e3 * call.outcome.queued_seconds);
  set_number(object, "ran", 1e3 * call.outcome.run_seconds);
  return object;
}

}  // namespace

void BatchWrap::define(Napi::Env env) {
  const Napi::Function constructor =
      DefineClass(env, "Batch",
                  {InstanceMethod<&BatchWrap::submit>("submit"), InstanceMethod<&BatchWrap::answer>("answer"),
                   InstanceMethod<&BatchWrap::abandon>("abandon"), InstanceMethod<&BatchWrap::stats>("stats"),
                   InstanceMethod<&BatchWrap::close>("close")});
  Environment::of(env).batch_constructor = Napi::Persistent(constructor);
}

Napi::Value BatchWrap::open(const Napi::CallbackInfo& info, const std::shared_ptr<Engine>& engine,
                            const std::shared_ptr<Network>& network) {
  return call(
      info, *engine, [&] { return BatchOpening(info, engine, network); }, [](BatchOpening& opening) { opening.open(); },
      [engine](Napi::Env env, const BatchOpening& opening) { return make(env, engine, opening.opened()); });
}

Napi::Object BatchWrap::make(Napi::Env env, const std::shared_ptr<Engine>& engine, const OpenedBatch& batch) {
  Environment& environment = Environment::of(env);
  environment.constructing = true;
  Napi::Object object = environment.batch_constructor.New({});
  set_constant(object, "bytes", Napi::Number::New(env, static_cast<double>(batch.bytes)));
  BatchWrap* self = Unwrap(object);
  self->engine_ = engine;
  self->batch_ = batch;
  return object;
}

BatchWrap::BatchWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<BatchWrap>(info) {
  if (!std::exchange(Environment::of(info.Env()).constructing, false)) {
    throw js_error(info.Env(), ErrorCode::kArgument, "batches are opened by a network or an engine");
  }
}

/// Requests keep this object alive, so none is left here.
BatchWrap::~BatchWrap() {
  if (engine_) engine_->remove(*batch_.batch);
}

/// The promise is settled by the batch, not by a job on the engine's thread.
Napi::Value BatchWrap::submit(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&]() -> Napi::Value {
    require(info[0].IsObject(), "the request must be an object");
    const auto options = info[0].As<Napi::Object>();
    auto request = to_batch_request(options);
    RequestCall state{std::make_unique<Watch>(info.Env(), engine_, options), {}, {}};
    state.tell(options, batch_.on_question != nullptr, *request);
    batch_.batch->check(*request);
    using RequestJob = Call<RequestCall, decltype(kNoWork), decltype(&to_outcome)>;
    auto job = std::make_unique<RequestJob>(info, Refusal::kRejects, std::move(state), kNoWork, to_outcome);
    const Napi::Promise promise = job->promise(info.Env());
    // A std::function must be copyable, and the job is not, so it is held by a shared pointer.
    auto held = std::make_shared<std::unique_ptr<RequestJob>>(std::move(job));
    request->finished = [held](BatchOutcome outcome) {
      std::unique_ptr<RequestJob> ended = std::move(*held);
      ended->error = outcome.code;
      ended->message = std::move(outcome.message);
      ended->state().outcome = std::move(outcome);
      RequestJob& reference = *ended;
      reference.finished(std::move(ended));
    };
    batch_.batch->submit(std::move(request));
    engine_->wake();
    return promise;
  });
}

Napi::Value BatchWrap::answer(const Napi::CallbackInfo& info) {
  using Answered = std::pair<std::vector<float>, std::vector<float>>;
  return call(
      info, *engine_, [&] { return Answered(to_floats(info[0], "the answer"), to_floats(info[1], "head")); },
      [batch = batch_.batch](Answered& given) { batch->answer(given.first, given.second); }, kUndefined);
}

Napi::Value BatchWrap::abandon(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return info[0].ToString().Utf8Value(); },
      [batch = batch_.batch](const std::string& message) {
        require(batch->waits(), "nothing was asked");
        batch->abandon_step(ErrorCode::kInternal, message);
      },
      kUndefined);
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
  if (!closing_.IsEmpty()) return closing_.Value();
  batch_.on_question.reset();
  const Napi::Value promise = call(
      info, *engine_, [&] { return batch_.batch; },
      [engine = engine_](const std::shared_ptr<Batch>& batch) {
        engine->remove(*batch);
        batch->end(ErrorCode::kClosed, "the batch was closed");
      },
      kUndefined, Refusal::kSucceeds);
  closing_ = Napi::Reference<Napi::Promise>::New(promise.As<Napi::Promise>(), 1);
  return promise;
}

}  // namespace dpm::addon
