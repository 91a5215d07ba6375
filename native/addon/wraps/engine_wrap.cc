#include "addon/wraps/engine_wrap.h"

#include "addon/convert/graph.h"
#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"
#include "addon/environment.h"
#include "addon/jobs/batch_jobs.h"
#include "addon/jobs/promise_job.h"
#include "addon/jobs/state_jobs.h"
#include "addon/wraps/cancel_token.h"
#include "addon/wraps/network_wrap.h"
#include "addon/wraps/tensor_wrap.h"
#include "backend/guard.h"

namespace dpm::addon {
namespace {

class LoadJob : public PromiseJob {
 public:
  LoadJob(const Napi::CallbackInfo& info, std::shared_ptr<Engine> engine)
      : PromiseJob(info.Env(), info.This().As<Napi::Object>()),
        engine_(std::move(engine)),
        cancelled_(CancelToken::flag_of(info[2], engine_)) {
    require(info[0].IsObject() && info[1].IsObject(), "a graph and options are needed");
    const auto options = info[1].As<Napi::Object>();
    open_ = to_graph_network(info[0].As<Napi::Object>(), options);
    if (has_value(options, "weightsOf")) digests_ = NetworkWrap::digests_of(options.Get("weightsOf"), "weightsOf");
  }

  [[nodiscard]] bool cancelled() const override { return cancelled_->load(); }

  void run() override {
    const auto check_wanted = [this] {
      if (cancelled()) throw Error(ErrorCode::kAborted, "loading was aborted");
      if (engine_->stopping()) throw Error(ErrorCode::kClosed, "the engine was closed");
    };
    OpenedNetwork opened = open_(check_wanted, digests_);
    network_ = std::make_shared<Network>(engine_->device(), std::move(opened.graph), std::move(opened.options));
  }

 protected:
  Napi::Value result(Napi::Env env) override { return NetworkWrap::make(env, engine_, std::move(network_), digests_); }

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<std::atomic<bool>> cancelled_;
  OpenNetwork open_;
  std::shared_ptr<WeightDigests> digests_ = std::make_shared<WeightDigests>();
  std::shared_ptr<Network> network_;
};

class PeakJob : public PromiseJob {
 public:
  PeakJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Device> device)
      : PromiseJob(env, owner), device_(std::move(device)) {}

  void run() override {
    dpm_message message{};
    check(device_->api().device.peak(device_->get(), &gflops_, &gigabytes_, &message), message);
  }

 protected:
  Napi::Value result(Napi::Env env) override {
    Napi::Object object = Napi::Object::New(env);
    set_number(object, "gflops", gflops_);
    set_number(object, "copyGigabytesPerSecond", gigabytes_);
    return object;
  }

 private:
  std::shared_ptr<Device> device_;
  double gflops_ = 0;
  double gigabytes_ = 0;
};

class TrimJob : public PromiseJob {
 public:
  TrimJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Device> device)
      : PromiseJob(env, owner), device_(std::move(device)) {}

  void run() override { device_->trim(); }

 protected:
  Napi::Value result(Napi::Env env) override { return env.Undefined(); }

 private:
  std::shared_ptr<Device> device_;
};

/// The engine's last: when it settles, the thread has nothing left to do and the device can go.
class CloseJob : public LastJob {
 public:
  CloseJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine)
      : LastJob(env, owner), engine_(std::move(engine)) {}

 protected:
  Napi::Value result(Napi::Env env) override {
    engine_->join();
    engine_->release_device();
    return env.Undefined();
  }

 private:
  std::shared_ptr<Engine> engine_;
};

}  // namespace

Napi::Function EngineWrap::define(Napi::Env env) {
  return DefineClass(
      env, "Engine",
      {InstanceMethod<&EngineWrap::tensor>("tensor"), InstanceMethod<&EngineWrap::write>("write"),
       InstanceMethod<&EngineWrap::read>("read"), InstanceMethod<&EngineWrap::load_network>("loadNetwork"),
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
  return translated(info.Env(), [&] {
    auto buffer = TensorWrap::buffer_of(info[0], "tensor", *device());
    const auto data = float_elements(info[1], "data");
    require(data.size * sizeof(float) <= buffer->bytes(), "the array is larger than the tensor");
    return submit_function(info.Env(), info.This().As<Napi::Object>(), *engine_,
                           [buffer, values = std::vector<float>(data.data, data.data + data.size)] {
                             buffer->upload(0, values.data(), values.size() * sizeof(float));
                           });
  });
}

Napi::Value EngineWrap::read(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_, std::make_unique<ReadJob>(info, info.This().As<Napi::Object>(), *device()));
  });
}

Napi::Value EngineWrap::load_network(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] { return submit(info.Env(), *engine_, std::make_unique<LoadJob>(info, engine_)); });
}

Napi::Value EngineWrap::script_batch(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_,
                  std::make_unique<OpenBatchJob>(info, info.This().As<Napi::Object>(), engine_, nullptr));
  });
}

Napi::Value EngineWrap::update(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_, std::make_unique<UpdateJob>(info, info.This().As<Napi::Object>(), device()));
  });
}

Napi::Value EngineWrap::reduce(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_, std::make_unique<ReduceJob>(info, info.This().As<Napi::Object>(), device()));
  });
}

Napi::Value EngineWrap::measure_peak(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_,
                  std::make_unique<PeakJob>(info.Env(), info.This().As<Napi::Object>(), device()));
  });
}

Napi::Value EngineWrap::trim(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_,
                  std::make_unique<TrimJob>(info.Env(), info.This().As<Napi::Object>(), device()));
  });
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

Napi::Value EngineWrap::close(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&]() -> Napi::Value {
    if (!closing_.IsEmpty()) return closing_.Value();
    const Napi::Promise promise =
        submit(info.Env(), *engine_, std::make_unique<CloseJob>(info.Env(), info.This().As<Napi::Object>(), engine_));
    closing_ = Napi::Reference<Napi::Promise>::New(promise, 1);
    engine_->stop();
    return promise;
  });
}

}  // namespace dpm::addon
