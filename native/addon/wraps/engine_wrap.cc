#include "addon/wraps/engine_wrap.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "addon/call.h"
#include "addon/convert/objects.h"
#include "addon/convert/state_inputs.h"
#include "addon/convert/typed_arrays.h"
#include "addon/environment.h"
#include "addon/wraps/batch_wrap.h"
#include "addon/wraps/load_inputs.h"
#include "addon/wraps/network_wrap.h"
#include "addon/wraps/tensor_wrap.h"
#include "addon/wraps/trainer_wrap.h"
#include "backend/guard.h"

namespace dpm::addon {
namespace {

struct LoadCall : LoadInputs {
  using LoadInputs::LoadInputs;

  std::shared_ptr<Network> network;
};

void load(LoadCall& call) {
  OpenedNetwork opened = call.opened();
  call.network = std::make_shared<Network>(call.engine->device(), std::move(opened.graph), std::move(opened.options));
}

/// State of a call that reads tensors into an array. The engine's thread does not touch the array.
struct ReadCall {
  std::shared_ptr<Buffer> tensor;
  Napi::Reference<Napi::Float32Array> array;
  std::vector<float> staging;
};

ReadCall to_read_call(const Napi::CallbackInfo& info, const Device& device) {
  ReadCall call{TensorWrap::buffer_of(info[0], "tensor", device), {}, {}};
  const auto target = float_elements(info[1], "into");
  require(target.size * sizeof(float) <= call.tensor->bytes(), "the array is larger than the tensor");
  call.array = Napi::Reference<Napi::Float32Array>::New(info[1].As<Napi::Float32Array>(), 1);
  call.staging.resize(target.size);
  return call;
}

Napi::Value deliver(Napi::Env env, const ReadCall& call) {
  Napi::Float32Array array = call.array.Value();
  require(array.ElementLength() == call.staging.size(), "the array was detached during the call");
  if (!call.staging.empty()) std::memcpy(array.Data(), call.staging.data(), call.staging.size() * sizeof(float));
  return env.Undefined();
}

struct PeakCall {
  std::shared_ptr<Device> device;
  double gflops = 0;
  double gigabytes = 0;
};

void measure(PeakCall& call) {
  dpm_message message{};
  check(call.device->api().device.peak(call.device->get(), &call.gflops, &call.gigabytes, &message), message);
}

}  // namespace

Napi::Function EngineWrap::define(Napi::Env env) {
  return DefineClass(
      env, "Engine",
      {InstanceMethod<&EngineWrap::tensor>("tensor"), InstanceMethod<&EngineWrap::write>("write"),
       InstanceMethod<&EngineWrap::read>("read"), InstanceMethod<&EngineWrap::load_network>("loadNetwork"),
       InstanceMethod<&EngineWrap::load_trainer>("loadTrainer"),
       InstanceMethod<&EngineWrap::script_batch>("scriptBatch"), InstanceMethod<&EngineWrap::update>("update"),
       InstanceMethod<&EngineWrap::reduce>("reduce"), InstanceMethod<&EngineWrap::measure_peak>("measurePeak"),
       InstanceMethod<&EngineWrap::trim>("trim"), InstanceMethod<&EngineWrap::memory>("memory"),
       InstanceMethod<&EngineWrap::statistics>("statistics"), InstanceMethod<&EngineWrap::close>("close")});
}

EngineWrap::EngineWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineWrap>(info) {
  translated(info.Env(), [&] {
    require(info[0].IsObject(), "the options must be an object");
    const auto options = info[0].As<Napi::Object>();
    DeviceOptions request;
    request.threads = to_int(options, "threads");
    request.exact = options.Get("exact").ToBoolean().Value();
    request.tf32 = options.Get("tf32").ToBoolean().Value();
    request.autotune = options.Get("autotune").ToBoolean().Value();
    constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
    request.dtype = kTypes[to_choice(options, "dtype", {"f32", "f16", "bf16"})];
    engine_ = std::make_shared<Engine>(to_text(options, "device"), request);
    Environment::of(info.Env()).add_engine(engine_);
    const auto self = info.This().As<Napi::Object>();
    const Device& opened = *engine_->device();
    set_constant(self, "device", Napi::String::New(info.Env(), opened.name()));
    set_constant(self, "description", Napi::String::New(info.Env(), opened.description()));
    set_constant(self, "threads", Napi::Number::New(info.Env(), opened.threads()));
  });
}

const std::shared_ptr<Device>& EngineWrap::device() const {
  if (engine_->stopping() || !engine_->device()) throw Error(ErrorCode::kClosed, "the engine is closed");
  return engine_->device();
}

Napi::Value EngineWrap::tensor(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&]() -> Napi::Value {
    const std::uint64_t elements = to_uint32(info[0], "elements");
    return TensorWrap::make(info.Env(), device()->allocate(elements * sizeof(float)));
  });
}

Napi::Value EngineWrap::write(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_,
      [&] {
        auto buffer = TensorWrap::buffer_of(info[0], "tensor", *device());
        std::vector<float> data = to_floats(info[1], "data");
        require(data.size() * sizeof(float) <= buffer->bytes(), "the array is larger than the tensor");
        return std::pair(std::move(buffer), std::move(data));
      },
      [](auto& given) { given.first->upload(0, given.second.data(), given.second.size() * sizeof(float)); },
      kUndefined);
}

Napi::Value EngineWrap::read(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return to_read_call(info, *device()); },
      [](ReadCall& call) { call.tensor->download(0, call.staging.data(), call.staging.size() * sizeof(float)); },
      deliver);
}

Napi::Value EngineWrap::load_network(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return LoadCall(info, engine_); }, load,
      [](Napi::Env env, LoadCall& call) {
        return NetworkWrap::make(env, call.engine, std::move(call.network), call.known);
      });
}

Napi::Value EngineWrap::load_trainer(const Napi::CallbackInfo& info) { return TrainerWrap::load(info, engine_); }

Napi::Value EngineWrap::script_batch(const Napi::CallbackInfo& info) { return BatchWrap::open(info, engine_, nullptr); }

Napi::Value EngineWrap::update(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return std::pair(device(), to_update_inputs(info, *device())); },
      [](auto& asked) { asked.first->update(asked.second.update); }, kUndefined);
}

Napi::Value EngineWrap::reduce(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return std::pair(device(), to_reduce_inputs(info, *device())); },
      [](auto& asked) { asked.first->reduce(asked.second.reduce); },
      [](Napi::Env env, auto& asked) {
        const std::vector<double>& results = asked.second.results;
        auto array = Napi::Float64Array::New(env, results.size());
        std::copy(results.begin(), results.end(), array.Data());
        return array;
      });
}

Napi::Value EngineWrap::measure_peak(const Napi::CallbackInfo& info) {
  return call(
      info, *engine_, [&] { return PeakCall{device()}; }, measure,
      [](Napi::Env env, const PeakCall& call) {
        Napi::Object object = Napi::Object::New(env);
        set_number(object, "gflops", call.gflops);
        set_number(object, "copyGigabytesPerSecond", call.gigabytes);
        return object;
      });
}

Napi::Value EngineWrap::trim(const Napi::CallbackInfo& info) {
  return call(info, *engine_, [&] { return device(); }, [](auto& device) { device->trim(); }, kUndefined);
}

Napi::Value EngineWrap::memory(const Napi::CallbackInfo& info) {
  const dpm_memory used = engine_->device() ? engine_->device()->memory() : dpm_memory{};
  Napi::Object object = Napi::Object::New(info.Env());
  set_number(object, "host", used.host);
  set_number(object, "device", used.device);
  set_number(object, "peakDevice", used.peak_device);
  return object;
}

Napi::Value EngineWrap::statistics(const Napi::CallbackInfo& info) {
  const std::optional<dpm_statistics> counted = engine_->device() ? engine_->device()->statistics() : std::nullopt;
  if (!counted) return info.Env().Null();
  Napi::Object object = Napi::Object::New(info.Env());
  set_number(object, "capturedGraphs", counted->captured_graphs);
  set_number(object, "failedCaptures", counted->failed_captures);
  set_number(object, "graphNodes", counted->graph_nodes);
  set_number(object, "plans", counted->plans);
  set_number(object, "refusedPlans", counted->refused_plans);
  set_number(object, "planningSeconds", counted->planning_seconds);
  return object;
}

/// Closing is the engine's last call: when it settles, the thread has nothing left to do and the device can be freed.
Napi::Value EngineWrap::close(const Napi::CallbackInfo& info) {
  if (!closing_.IsEmpty()) return closing_.Value();
  const Napi::Value promise = call(
      info, *engine_, [&] { return engine_; }, kNoWork,
      [](Napi::Env env, const std::shared_ptr<Engine>& engine) {
        engine->join();
        engine->release_device();
        return env.Undefined();
      },
      Refusal::kSucceeds);
  closing_ = Napi::Reference<Napi::Promise>::New(promise.As<Napi::Promise>(), 1);
  engine_->stop();
  return promise;
}

}  // namespace dpm::addon
