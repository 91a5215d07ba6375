#include "addon/wraps/network_wrap.h"

#include <utility>

#include "addon/convert/nodes.h"
#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"
#include "addon/jobs/batch_jobs.h"
#include "addon/jobs/forward.h"
#include "addon/jobs/predict_job.h"
#include "addon/jobs/promise_job.h"
#include "addon/jobs/run_job.h"
#include "addon/wraps/unwrap.h"

namespace dpm::addon {

namespace {

const Tag kTag = {{0x2f7ac35e81d94b06ULL, 0xa14e6d0b93f85c27ULL}};

class ProfileJob : public PromiseJob {
 public:
  ProfileJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, std::shared_ptr<Network> network,
             int batch, int repeats)
      : PromiseJob(env, owner),
        engine_(std::move(engine)),
        network_(std::move(network)),
        batch_(batch),
        repeats_(repeats) {}

  void run() override { times_ = network_->profile(batch_, repeats_, engine_->stopping()); }

 protected:
  Napi::Value result(Napi::Env env) override {
    Napi::Array array = Napi::Array::New(env, times_.size());
    for (std::uint32_t i = 0; i < times_.size(); ++i) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("name", Napi::String::New(env, times_[i].name));
      set_number(entry, "milliseconds", times_[i].milliseconds);
      set_number(entry, "multiplyAdds", times_[i].multiply_adds);
      array.Set(i, entry);
    }
    return array;
  }

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Network> network_;
  int batch_;
  int repeats_;
  std::vector<NodeTime> times_;
};

class MeasureJob : public PromiseJob {
 public:
  MeasureJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, std::shared_ptr<Network> network,
             std::vector<std::uint32_t> batches, int repeats)
      : PromiseJob(env, owner),
        engine_(std::move(engine)),
        network_(std::move(network)),
        batches_(std::move(batches)),
        repeats_(repeats) {}

  void run() override { seconds_ = network_->measure(batches_, repeats_, engine_->stopping()); }

 protected:
  Napi::Value result(Napi::Env env) override {
    auto milliseconds = Napi::Float64Array::New(env, seconds_.size());
    for (std::size_t i = 0; i < seconds_.size(); ++i) milliseconds[i] = 1e3 * seconds_[i];
    return milliseconds;
  }

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Network> network_;
  std::vector<std::uint32_t> batches_;
  int repeats_;
  std::vector<double> seconds_;
};

Napi::Object facts(Napi::Env env, const NetworkInfo& info) {
  Napi::Object object = Napi::Object::New(env);
  set_number(object, "parameters", info.parameters);
  set_number(object, "multiplyAdds", info.multiply_adds);
  set_number(object, "nodes", info.nodes);
  set_number(object, "weightBytes", info.weight_bytes);
  set_number(object, "rowBytes", info.row_bytes);
  return object;
}

}  // namespace

void NetworkWrap::define(Napi::Env env) {
  const Napi::Function constructor =
      DefineClass(env, "Network",
                  {InstanceMethod<&NetworkWrap::forward>("forward"), InstanceMethod<&NetworkWrap::predict>("predict"),
                   InstanceMethod<&NetworkWrap::run>("run"), InstanceMethod<&NetworkWrap::batch>("batch"),
                   InstanceMethod<&NetworkWrap::measure>("measure"), InstanceMethod<&NetworkWrap::profile>("profile"),
                   InstanceMethod<&NetworkWrap::nodes>("nodes"), InstanceMethod<&NetworkWrap::close>("close")});
  Environment::of(env).network_constructor = Napi::Persistent(constructor);
}

std::shared_ptr<Network> NetworkWrap::network_of(const Napi::Value& value, const char* what) {
  return unwrap<NetworkWrap>(value, kTag, what).network();
}

std::shared_ptr<WeightDigests> NetworkWrap::digests_of(const Napi::Value& value, const char* what) {
  return unwrap<NetworkWrap>(value, kTag, what).digests_;
}

Napi::Object NetworkWrap::make(Napi::Env env, const std::shared_ptr<Engine>& engine, std::shared_ptr<Network> network,
                               std::shared_ptr<WeightDigests> digests) {
  Environment& environment = Environment::of(env);
  environment.constructing = true;
  Napi::Object object = environment.network_constructor.New({});
  object.TypeTag(&kTag.value);
  set_constant(object, "info", facts(env, network->info()));
  NetworkWrap* self = Unwrap(object);
  self->engine_ = engine;
  self->network_ = std::move(network);
  self->report_memory(env, 1);
  self->memory_ = std::make_shared<ForwardMemory>();
  self->digests_ = std::move(digests);
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
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_,
                  std::make_unique<ForwardJob>(info, info.This().As<Napi::Object>(), network(), memory_));
  });
}

Napi::Value NetworkWrap::predict(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_, std::make_unique<PredictJob>(info, info.This().As<Napi::Object>(), network()));
  });
}

Napi::Value NetworkWrap::run(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] { return submit(info.Env(), *engine_, make_run_job(info, engine_, network())); });
}

Napi::Value NetworkWrap::batch(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    return submit(info.Env(), *engine_,
                  std::make_unique<OpenBatchJob>(info, info.This().As<Napi::Object>(), engine_, network()));
  });
}

Napi::Value NetworkWrap::measure(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    const auto batches = uint32_elements(info[0], "batches");
    const std::uint32_t repeats = to_uint32(info[1], "repeats");
    std::vector<std::uint32_t> wanted(batches.data, batches.data + batches.size);
    for (const std::uint32_t batch : wanted) require(batch > 0 && batch <= 65536, "a batch is out of range");
    require(repeats > 0 && repeats <= 100000, "repeats is out of range");
    return submit(info.Env(), *engine_,
                  std::make_unique<MeasureJob>(info.Env(), info.This().As<Napi::Object>(), engine_, network(),
                                               std::move(wanted), static_cast<int>(repeats)));
  });
}

Napi::Value NetworkWrap::profile(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    const std::uint32_t batch = to_uint32(info[0], "batch");
    const std::uint32_t repeats = to_uint32(info[1], "repeats");
    require(batch > 0 && batch <= 65536 && repeats > 0 && repeats <= 100000, "batch or repeats is out of range");
    return submit(info.Env(), *engine_,
                  std::make_unique<ProfileJob>(info.Env(), info.This().As<Napi::Object>(), engine_, network(),
                                               static_cast<int>(batch), static_cast<int>(repeats)));
  });
}

Napi::Value NetworkWrap::nodes(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&]() -> Napi::Value { return to_nodes(info.Env(), network()->graph()); });
}

Napi::Value NetworkWrap::close(const Napi::CallbackInfo& info) {
  // Work in flight keeps the network until it ends; the job below comes after all of it.
  release(info.Env());
  memory_ = std::make_shared<ForwardMemory>();
  return submit(info.Env(), *engine_, std::make_unique<LastJob>(info.Env(), info.This().As<Napi::Object>()));
}

}  // namespace dpm::addon
