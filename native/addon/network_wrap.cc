#include "addon/network_wrap.h"

#include <array>
#include <chrono>

#include "addon/cancel_token.h"
#include "addon/convert.h"
#include "addon/forward.h"
#include "addon/promise_job.h"

namespace dpm::addon {

class ForwardJob : public PromiseJob {
 public:
  ForwardJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Network> network,
             std::shared_ptr<ForwardMemory> memory)
      : PromiseJob(info.Env(), owner), forward_(info, std::move(network), std::move(memory)) {}

  void run() override { forward_.run(); }

 protected:
  Napi::Value result(Napi::Env env) override {
    translated(env, [this] { forward_.deliver(); });
    return env.Undefined();
  }

 private:
  Forward forward_;
};

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kProgressInterval = std::chrono::milliseconds(20);

/// One report of progress. The job outlives it: its own delivery comes later in the same queue.
class Progress : public Delivery {
 public:
  using Report = void (*)(void* job, Napi::Env env, std::uint64_t done, std::uint64_t total);
  Progress(Report report, void* job, std::uint64_t done, std::uint64_t total)
      : report_(report), job_(job), done_(done), total_(total) {}
  void deliver(Napi::Env env) override { report_(job_, env, done_, total_); }

 private:
  Report report_;
  void* job_;
  std::uint64_t done_;
  std::uint64_t total_;
};

class RunJob : public PromiseJob {
 public:
  RunJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, std::shared_ptr<Network> network,
         const Napi::Object& options)
      : PromiseJob(env, owner),
        engine_(std::move(engine)),
        network_(std::move(network)),
        request_(to_run_request(options)) {
    const Napi::Value token = options.Get("cancel");
    const bool has_token = !token.IsNull() && !token.IsUndefined();
    request_.cancelled =
        has_token ? CancelToken::of(token).attach(engine_) : std::make_shared<std::atomic<bool>>(false);
    const Napi::Value callback = options.Get("onProgress");
    request_.watched = has_token || callback.IsFunction();
    if (!callback.IsFunction()) return;
    callback_ = Napi::Persistent(callback.As<Napi::Function>());
    request_.progress = [this](std::uint64_t done, std::uint64_t total) { report(done, total); };
  }

  void run() override { result_ = run_programs(*network_, request_, engine_->stopping()); }
  [[nodiscard]] bool cancelled() const override { return request_.cancelled->load(); }

 protected:
  Napi::Value result(Napi::Env env) override {
    Napi::Object object = Napi::Object::New(env);
    object.Set("images", to_array(env, std::move(result_.images)));
    Napi::Array snapshots = Napi::Array::New(env, result_.snapshots.size());
    for (std::uint32_t i = 0; i < result_.snapshots.size(); ++i) {
      Napi::Object snapshot = Napi::Object::New(env);
      snapshot.Set("record", Napi::Number::New(env, result_.snapshots[i].record));
      snapshot.Set("images", to_array(env, std::move(result_.snapshots[i].images)));
      snapshots.Set(i, snapshot);
    }
    object.Set("snapshots", snapshots);
    return object;
  }

 private:
  [[nodiscard]] Napi::Value to_array(Napi::Env env, RunImages&& images) const {
    if (request_.levels) return to_level_array(env, std::move(images.levels));
    return to_float_array(env, std::move(images.floats));
  }

  void report(std::uint64_t done, std::uint64_t total) {
    const auto now = Clock::now();
    if (done < total && now - reported_ < kProgressInterval) return;
    reported_ = now;
    environment().post(std::make_unique<Progress>(call_back, this, done, total));
  }

  /// On the JavaScript thread. What the callback throws ends the run and rejects its promise.
  static void call_back(void* job, Napi::Env env, std::uint64_t done, std::uint64_t total) {
    auto& self = *static_cast<RunJob*>(job);
    try {
      self.callback_.Call(
          {Napi::Number::New(env, static_cast<double>(done)), Napi::Number::New(env, static_cast<double>(total))});
    } catch (const Napi::Error& error) {
      self.reject_with(error);
      self.request_.cancelled->store(true);
    }
  }

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Network> network_;
  RunRequest request_;
  RunResult result_;
  Napi::FunctionReference callback_;
  Clock::time_point reported_;
};

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
      entry.Set("milliseconds", Napi::Number::New(env, times_[i].milliseconds));
      entry.Set("multiplyAdds", Napi::Number::New(env, static_cast<double>(times_[i].multiply_adds)));
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

constexpr std::array kOperations = {"time_embedding", "embedding",    "convolution",  "group_norm",
                                    "attention",      "bias",         "channel_add",  "scale_shift",
                                    "silu",           "add",          "affine",       "concat",
                                    "upsample",       "average_pool", "fir_upsample", "fir_downsample"};
static_assert(kOperations.size() == DPM_OP_FIR_DOWNSAMPLE + 1);

constexpr std::array kRoles = {"internal", "image", "time", "label", "output", "head"};
static_assert(kRoles.size() == DPM_ROLE_HEAD + 1);

/// What a value is and where in its storage it lies; null where there is none.
Napi::Value map_of(Napi::Env env, const graph::Graph& graph, int index) {
  if (index < 0) return env.Null();
  const graph::Value& value = graph.values[static_cast<std::size_t>(index)];
  int first_channel = 0;
  for (int at = index; graph.values[static_cast<std::size_t>(at)].parent >= 0;) {
    first_channel += graph.values[static_cast<std::size_t>(at)].channel_offset;
    at = graph.values[static_cast<std::size_t>(at)].parent;
  }
  const graph::Value& root = graph.values[static_cast<std::size_t>(graph.root(index))];
  Napi::Object map = Napi::Object::New(env);
  const auto set = [&](const char* key, int number) { map.Set(key, Napi::Number::New(env, number)); };
  set("value", index);
  set("channels", value.channels);
  set("height", value.height);
  set("width", value.width);
  set("firstChannel", first_channel);
  set("pixelStride", root.channels);
  map.Set("role", Napi::String::New(env, kRoles[static_cast<std::size_t>(root.role)]));
  return map;
}

Napi::Object node_of(Napi::Env env, const graph::Graph& graph, const graph::Node& node) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* key, double number) { object.Set(key, Napi::Number::New(env, number)); };
  object.Set("name", Napi::String::New(env, node.name));
  object.Set("op", Napi::String::New(env, kOperations[static_cast<std::size_t>(node.op)]));
  Napi::Array inputs = Napi::Array::New(env, node.inputs.size());
  for (std::uint32_t i = 0; i < node.inputs.size(); ++i) inputs.Set(i, map_of(env, graph, node.inputs[i]));
  object.Set("inputs", inputs);
  object.Set("output", map_of(env, graph, node.output));
  std::int64_t weights = 0;
  for (const int weight : node.weights) weights += graph.constants[static_cast<std::size_t>(weight)].elements();
  set("parts", static_cast<double>(graph::LoweredGraph::lower(node).parts));
  set("weightElements", static_cast<double>(weights));
  set("multiplyAdds", static_cast<double>(graph::multiply_adds(graph, node)));
  set("kernel", node.kernel);
  set("stride", node.stride);
  set("padBefore", node.pad_before);
  set("padAfter", node.pad_after);
  set("heads", node.heads);
  set("groups", node.groups);
  set("scale", node.scale);
  object.Set("bias", Napi::Boolean::New(env, !node.biases.empty()));
  object.Set("upsample", Napi::Boolean::New(env, node.upsample));
  object.Set("silu", Napi::Boolean::New(env, node.silu));
  return object;
}

Napi::Object facts(Napi::Env env, const NetworkInfo& info) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* key, double value) { object.Set(key, Napi::Number::New(env, value)); };
  set("parameters", static_cast<double>(info.parameters));
  set("multiplyAdds", static_cast<double>(info.multiply_adds));
  set("primitiveNodes", static_cast<double>(info.primitive_nodes));
  set("nodes", static_cast<double>(info.nodes));
  set("weightBytes", static_cast<double>(info.weight_bytes));
  return object;
}

}  // namespace

void NetworkWrap::define(Napi::Env env) {
  const Napi::Function constructor = DefineClass(
      env, "Network",
      {InstanceMethod<&NetworkWrap::forward>("forward"), InstanceMethod<&NetworkWrap::forward_sync>("forwardSync"),
       InstanceMethod<&NetworkWrap::run>("run"), InstanceMethod<&NetworkWrap::profile>("profile"),
       InstanceMethod<&NetworkWrap::nodes>("nodes"), InstanceMethod<&NetworkWrap::close>("close")});
  Environment::of(env).network_constructor = Napi::Persistent(constructor);
}

Napi::Object NetworkWrap::make(Napi::Env env, const std::shared_ptr<Engine>& engine, std::shared_ptr<Network> network) {
  Environment& environment = Environment::of(env);
  environment.constructing = true;
  Napi::Object object = environment.network_constructor.New({});
  set_constant(object, "info", facts(env, network->info()));
  NetworkWrap* self = Unwrap(object);
  self->engine_ = engine;
  self->network_ = std::move(network);
  self->report_memory(env, 1);
  self->memory_ = std::make_shared<ForwardMemory>();
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

void NetworkWrap::forward_sync(const Napi::CallbackInfo& info) {
  translated(info.Env(), [&] {
    Forward forward(info, network(), memory_);
    engine_->run_now([&] { forward.run(); });
    forward.deliver();
  });
}

Napi::Value NetworkWrap::run(const Napi::CallbackInfo& info) {
  return translated(info.Env(), [&] {
    require(info[0].IsObject(), "the request must be an object");
    return submit(info.Env(), *engine_,
                  std::make_unique<RunJob>(info.Env(), info.This().As<Napi::Object>(), engine_, network(),
                                           info[0].As<Napi::Object>()));
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
  return translated(info.Env(), [&]() -> Napi::Value {
    const graph::Graph& graph = network()->graph();
    Napi::Array array = Napi::Array::New(info.Env(), graph.nodes.size());
    for (std::uint32_t i = 0; i < graph.nodes.size(); ++i) array.Set(i, node_of(info.Env(), graph, graph.nodes[i]));
    return array;
  });
}

Napi::Value NetworkWrap::close(const Napi::CallbackInfo& info) {
  // Work in flight keeps the network until it ends; the job below comes after all of it.
  release(info.Env());
  memory_ = std::make_shared<ForwardMemory>();
  return submit(info.Env(), *engine_, std::make_unique<LastJob>(info.Env(), info.This().As<Napi::Object>()));
}

}  // namespace dpm::addon
