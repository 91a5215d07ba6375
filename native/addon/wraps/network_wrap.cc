#include "addon/wraps/network_wrap.h"

#include <utility>

#include "addon/call.h"
#include "addon/convert/network_facts.h"
#include "addon/convert/nodes.h"
#include "addon/convert/objects.h"
#include "addon/convert/predict_inputs.h"
#include "addon/convert/run_request.h"
#include "addon/convert/run_result.h"
#include "addon/convert/typed_arrays.h"
#include "addon/forward.h"
#include "addon/watch.h"
#include "addon/wraps/batch_wrap.h"
#include "addon/wraps/unwrap.h"
#include "sampling/run.h"

namespace dpm::addon {

namespace {

const Tag kTag = {{0x2f7ac35e81d94b06ULL, 0xa14e6d0b93f85c27ULL}};

struct RunCall {
  std::shared_ptr<Network> network;
  std::unique_ptr<Watch> watch;
  RunRequest request;
  RunResult result;

  [[nodiscard]] bool cancelled() const { return watch->cancelled(); }
  [[nodiscard]] const Napi::Error* thrown() const { return watch->thrown(); }
};

RunCall to_run_call(const Napi::CallbackInfo& info, const std::shared_ptr<Engine>& engine,
                    std::shared_ptr<Network> network) {
  require(info[0].IsObject(), "the request must be an object");
  const auto options = info[0].As<Napi::Object>();
  RunCall call{std::move(network), std::make_unique<Watch>(info.Env(), engine, options), to_run_request(options), {}};
  call.request.guides = to_guides(options);
  call.watch->watch(call.request);
  return call;
}

struct MeasureCall {
  std::shared_ptr<Network> network;
  std::vector<std::uint32_t> batches;
  int repeats;
  std::vector<double> seconds;
};

struct ProfileCall {
  std::shared_ptr<Network> network;
  int batch;
  int repeats;
  std::vector<NodeTime> times;
};

int to_batch(std::uint32_t batch) {
  require(batch > 0 && batch <= 65536, "a batch is out of range");
  return static_cast<int>(batch);
}

int to_repeats(const Napi::Value& value) {
  const std::uint32_t repeats = to_uint32(value, "repeats");
  require(repeats > 0 && repeats <= 100000, "repeats is out of range");
  return static_cast<int>(repeats);
}

MeasureCall to_measure_call(const Napi::CallbackInfo& info, std::shared_ptr<Network> network) {
  const auto given = uint32_elements(info[0], "batches");
  MeasureCall call{std::move(network), {given.data, given.data + given.size}, to_repeats(info[1]), {}};
  for (const std::uint32_t batch : call.batches) to_batch(batch);
  return call;
}

Napi::Value to_milliseconds(Napi::Env env, const MeasureCall& call) {
  auto milliseconds = Napi::Float64Array::New(env, call.seconds.size());
  for (std::size_t i = 0; i < call.seconds.size(); ++i) milliseconds[i] = 1e3 * call.seconds[i];
  return milliseconds;
}

Napi::Value to_node_times(Napi::Env env, const ProfileCall& call) {
  Napi::Array array = Napi::Array::New(env, call.times.size());
  for (std::uint32_t i = 0; i < call.times.size(); ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", Napi::String::New(env, call.times[i].name));
    set_number(entry, "milliseconds", call.times[i].milliseconds);
    set_number(entry, "multiplyAdds", call.times[i].multiply_adds);
    array.Set(i, entry);
  }
  return array;
}

}  // namespace

void NetworkWrap::define(Napi::Env env) {
  const Napi::Function constructor =
      DefineClass(env, "Network",
                  {InstanceMethod<&NetworkWrap::forward>("forward"), InstanceMethod<&NetworkWrap::predict>("predict"),
                   InstanceMethod<&NetworkWrap::run>("run"), InstanceMethod<&NetworkWrap::batch>("batch"),
                   InstanceMethod<&NetworkWrap::measure>("measure"), InstanceMethod<&NetworkWrap::profile>("profile"),
                   InstanceMethod<&NetworkWrap::nodes>("nodes"), InstanceMethod<&NetworkWrap::gradients>("gradients"),
                   InstanceMethod<&NetworkWrap::close>("close")});
  Environment::of(env).network_constructor = Napi::Persistent(constructor);
}

std::shared_ptr<Network> NetworkWrap::network_of(const Napi::Value& value, const char* what) {
  return unwrap<NetworkWrap>(value, kTag, what).network();
}

std::shared_ptr<KnownWeights> NetworkWrap::known_weights_of(const Napi::Value& value, const char* what) {
  return unwrap<NetworkWrap>(value, kTag, what).known_;
}

Napi::Object NetworkWrap::make(Napi::Env env, const std::shared_ptr<Engine>& engine, std::shared_ptr<Network> network,
                               std::shared_ptr<KnownWeights> known) {
  Environment& environment = Environment::of(env);
  environment.constructing = true;
  Napi::Object object = environment.network_constructor.New({});
  object.TypeTag(&kTag.value);
  set_constant(object, "info", to_object(env, network->info()));
  NetworkWrap* self = Unwrap(object);
  self->engine_ = engine;
  self->network_ = std::move(network);
  self->report_memory(env, 1);
  self->memory_ = std::make_shared<ForwardMemory>();
  self->known_ = std::move(known);
  return object;
}

void NetworkWrap::report_memory(Napi::Env env, int sign) const {
  const auto bytes = static_cast<std::int64_t>(network_->info().weight_bytes);
  Napi::MemoryManagement::AdjustExternalMemory(env, sign * bytes);
}

void NetworkWrap::release(Napi::Env env) {
  if (!network_) return;
  report_memory(env, -1);
  network_.reset();
}

void NetworkWrap::Finalize(Napi::Env env) { release(env); }

NetworkWrap::NetworkWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NetworkWrap>(info) {
  if (!std::exchange(Environment::of(info.Env()).constructing, false)) {
    throw js_error(info.Env(), ErrorCode::kArgument, "networks are loaded by an engine");
  }
}

const std::shared_ptr<Network>& NetworkWrap::network() const {
  if (!network_) throw Error(ErrorCode::kClosed, "the network is closed");
  return network_;
}

Napi::Value NetworkWrap::forward(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return std::make_unique<Forward>(info, network(), memory_); },
      [](auto& forward) { forward->run(); },
      [](Napi::Env env, auto& forward) {
        forward->deliver();
        return env.Undefined();
      });
}

Napi::Value NetworkWrap::predict(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return std::pair(network(), to_predict_inputs(info, *network())); },
      [](auto& asked) { dpm::predict(*asked.first, asked.second); }, kUndefined);
}

Napi::Value NetworkWrap::run(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return to_run_call(info, engine_, network()); },
      [engine = engine_](RunCall& call) {
        call.result = run_programs(*call.network, std::move(call.request), engine->stopping());
      },
      [](Napi::Env env, RunCall& call) { return to_object(env, std::move(call.result)); });
}

Napi::Value NetworkWrap::batch(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] { return BatchWrap::open(info, engine_, network()); });
}

Napi::Value NetworkWrap::measure(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return to_measure_call(info, network()); },
      [engine = engine_](MeasureCall& call) {
        call.seconds = call.network->measure(call.batches, call.repeats, engine->stopping());
      },
      to_milliseconds);
}

Napi::Value NetworkWrap::profile(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_,
      [&] { return ProfileCall{network(), to_batch(to_uint32(info[0], "batch")), to_repeats(info[1]), {}}; },
      [engine = engine_](ProfileCall& call) {
        call.times = call.network->profile(call.batch, call.repeats, engine->stopping());
      },
      to_node_times);
}

Napi::Value NetworkWrap::nodes(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&]() -> Napi::Value { return to_nodes(info.Env(), network()->graph()); });
}

Napi::Value NetworkWrap::gradients(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&]() -> Napi::Value { return to_object(info.Env(), network()->gradients()); });
}

Napi::Value NetworkWrap::close(const Napi::CallbackInfo& info) {
  // Work in flight keeps the network until it ends; the call below is queued after all of it.
  release(info.Env());
  memory_ = std::make_shared<ForwardMemory>();
  return call(info, *engine_, [] { return nullptr; }, kNoWork, kUndefined, Refusal::kSucceeds);
}

}  // namespace dpm::addon
