#include "addon/wraps/trainer_wrap.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "addon/call.h"
#include "addon/convert/network_facts.h"
#include "addon/convert/objects.h"
#include "addon/convert/trainer_options.h"
#include "addon/convert/typed_arrays.h"
#include "addon/watch.h"
#include "addon/wraps/load_inputs.h"

namespace dpm::addon {
namespace {

struct LoadCall : LoadInputs {
  LoadCall(const Napi::CallbackInfo& info, const std::shared_ptr<Engine>& owner) : LoadInputs(info, owner) {
    const auto given = info[1].As<Napi::Object>();
    options = to_trainer_options(given);
    dataset = to_dataset(given);
    recomputes_as_told = has_value(given, "recompute");
  }

  training::TrainerOptions options;
  training::Dataset dataset;
  bool recomputes_as_told = false;
  std::shared_ptr<training::Trainer> trainer;
};

void load_trainer(LoadCall& call) {
  OpenedNetwork opened = call.opened();
  if (call.recomputes_as_told) call.options.recompute = opened.options.recompute;
  call.trainer = std::make_shared<training::Trainer>(call.engine->device(), std::move(opened.graph), opened.options,
                                                     std::move(call.options), std::move(call.dataset));
}

struct RunCall {
  std::shared_ptr<training::Trainer> trainer;
  std::unique_ptr<Watch> watch;
  training::TrainingSteps request;
  training::StepResult result;

  [[nodiscard]] bool cancelled() const { return watch->cancelled(); }
  [[nodiscard]] const Napi::Error* thrown() const { return watch->thrown(); }
};

RunCall to_run_call(const Napi::CallbackInfo& info, const std::shared_ptr<Engine>& engine,
                    std::shared_ptr<training::Trainer> trainer) {
  require(info[0].IsObject(), "the request must be an object");
  const auto options = info[0].As<Napi::Object>();
  RunCall call{
      std::move(trainer), std::make_unique<Watch>(info.Env(), engine, options), to_training_steps(options), {}};
  call.watch->report_every(
      std::chrono::milliseconds(to_uint32(options.Get("progressMilliseconds"), "progressMilliseconds")));
  call.request.progress = call.watch->progress();
  call.request.cancelled = call.watch->flag();
  return call;
}

Napi::Float64Array to_doubles(Napi::Env env, const std::vector<double>& values) {
  auto array = Napi::Float64Array::New(env, values.size());
  std::ranges::copy(values, array.Data());
  return array;
}

Napi::Value to_result(Napi::Env env, const RunCall& call) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("losses", to_doubles(env, call.result.losses));
  object.Set("norms", to_doubles(env, call.result.norms));
  object.Set("accuracies", to_doubles(env, call.result.accuracies));
  set_number(object, "seconds", call.result.seconds);
  object.Set("failure", call.result.failure);
  return object;
}

struct LevelLossesCall {
  std::shared_ptr<training::Trainer> trainer;
  std::vector<float> losses;
};

struct TensorCall {
  std::shared_ptr<training::Trainer> trainer;
  ParameterTensor which;
  std::vector<float> values;
};

}  // namespace

void TrainerWrap::define(Napi::Env env) {
  const Napi::Function constructor = DefineClass(
      env, "Trainer",
      {InstanceMethod<&TrainerWrap::run>("run"), InstanceMethod<&TrainerWrap::read>("read"),
       InstanceMethod<&TrainerWrap::write>("write"), InstanceMethod<&TrainerWrap::level_losses>("levelLosses"),
       InstanceMethod<&TrainerWrap::set_level_losses>("setLevelLosses"), InstanceMethod<&TrainerWrap::places>("places"),
       InstanceMethod<&TrainerWrap::close>("close")});
  Environment::of(env).trainer_constructor = Napi::Persistent(constructor);
}

Napi::Value TrainerWrap::load(const Napi::CallbackInfo& info, const std::shared_ptr<Engine>& engine) {
  return call(
      info, *engine, [&] { return LoadCall(info, engine); }, load_trainer,
      [](Napi::Env env, LoadCall& call) { return make(env, call.engine, std::move(call.trainer)); });
}

Napi::Object TrainerWrap::make(Napi::Env env, const std::shared_ptr<Engine>& engine,
                               std::shared_ptr<training::Trainer> trainer) {
  Environment& environment = Environment::of(env);
  environment.constructing = true;
  Napi::Object object = environment.trainer_constructor.New({});
  set_constant(object, "info", to_object(env, trainer->info()));
  TrainerWrap* self = Unwrap(object);
  self->engine_ = engine;
  self->trainer_ = std::move(trainer);
  self->report_memory(env, 1);
  return object;
}

TrainerWrap::TrainerWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TrainerWrap>(info) {
  if (!std::exchange(Environment::of(info.Env()).constructing, false)) {
    throw js_error(info.Env(), ErrorCode::kArgument, "trainers are loaded by an engine");
  }
}

void TrainerWrap::report_memory(Napi::Env env, int sign) const {
  constexpr std::uint64_t kTensors = 5;
  const std::uint64_t parameters = kTensors * trainer_->parameters().elements() * sizeof(float);
  const auto bytes = static_cast<std::int64_t>(trainer_->info().weight_bytes + parameters);
  Napi::MemoryManagement::AdjustExternalMemory(env, sign * bytes);
}

void TrainerWrap::release(Napi::Env env) {
  if (!trainer_) return;
  report_memory(env, -1);
  trainer_.reset();
}

void TrainerWrap::Finalize(Napi::Env env) { release(env); }

const std::shared_ptr<training::Trainer>& TrainerWrap::trainer() const {
  if (!trainer_) throw Error(ErrorCode::kClosed, "the trainer is closed");
  return trainer_;
}

Napi::Value TrainerWrap::run(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return to_run_call(info, engine_, trainer()); },
      [engine = engine_](RunCall& call) { call.result = call.trainer->run(call.request, engine->stopping()); },
      to_result);
}

Napi::Value TrainerWrap::read(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_,
      [&] {
        return TensorCall{trainer(), to_parameter_tensor(info[0]),
                          std::vector<float>(trainer()->parameters().elements())};
      },
      [](TensorCall& call) { call.trainer->read(call.which, call.values.data()); },
      [](Napi::Env env, TensorCall& call) { return to_float_array(env, std::move(call.values)); });
}

Napi::Value TrainerWrap::write(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_,
      [&] {
        TensorCall call{trainer(), to_parameter_tensor(info[0]), to_floats(info[1], "values")};
        require(call.values.size() == trainer()->parameters().elements(), "values: their number is another");
        return call;
      },
      [](TensorCall& call) { call.trainer->write(call.which, call.values.data()); }, kUndefined);
}

Napi::Value TrainerWrap::level_losses(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return LevelLossesCall{trainer(), {}}; },
      [](LevelLossesCall& call) { call.losses = call.trainer->level_losses(); },
      [](Napi::Env env, LevelLossesCall& call) { return to_float_array(env, std::move(call.losses)); });
}

Napi::Value TrainerWrap::set_level_losses(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return LevelLossesCall{trainer(), to_floats(info[0], "levelLosses")}; },
      [](LevelLossesCall& call) { call.trainer->set_level_losses(call.losses); }, kUndefined);
}

Napi::Value TrainerWrap::places(const Napi::CallbackInfo& info) {
  return translated(info.Env(),
                    [&]() -> Napi::Value { return to_object(info.Env(), trainer()->parameters().places()); });
}

Napi::Value TrainerWrap::close(const Napi::CallbackInfo& info) {
  // Work in flight keeps the trainer until it ends; the call below is queued after all of it.
  release(info.Env());
  return call(info, *engine_, [] { return nullptr; }, kNoWork, kUndefined, Refusal::kSucceeds);
}

}  // namespace dpm::addon
