// One network evaluation asked for by JavaScript: copies typed arrays in and out, uses device tensors in place.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "addon/jobs/promise_job.h"
#include "engine/network.h"

namespace dpm::addon {

/// Host copies of one call's arguments and results.
struct ForwardStaging {
  std::vector<float> x;
  std::vector<float> times;
  std::vector<std::int32_t> labels;
  std::vector<float> out;
  std::vector<float> head;
};

/// What calls leave behind for the next ones, so that calls of equal size allocate nothing.
class ForwardMemory {
 public:
  /// On the JavaScript thread.
  std::unique_ptr<ForwardStaging> take();
  void give_back(std::unique_ptr<ForwardStaging> staging);

  /// Used on the thread that has the device.
  std::shared_ptr<Buffer> image, time, labels, out, head;

 private:
  std::vector<std::unique_ptr<ForwardStaging>> free_;
};

class Forward {
 public:
  /// Reads the arguments of `forward`: batch, x, t, labels, out, head. Throws Error(kArgument).
  Forward(const Napi::CallbackInfo& info, std::shared_ptr<Network> network, std::shared_ptr<ForwardMemory> memory);
  ~Forward();
  Forward(const Forward&) = delete;
  Forward& operator=(const Forward&) = delete;

  /// Evaluates; on whichever thread has the device.
  void run();
  /// Copies results into the typed arrays; on the JavaScript thread.
  void deliver();

 private:
  struct Output {
    std::shared_ptr<Buffer> tensor;
    Napi::Reference<Napi::Float32Array> array;
    std::uint64_t stride = 0;
  };

  void read_inputs(const Napi::CallbackInfo& info);
  void read_output(const Napi::Value& value, const char* what, Output& output) const;
  dpm_view bind(const Output& output, std::shared_ptr<Buffer>& buffer) const;
  void copy_out(const Output& output, const Buffer& buffer, std::vector<float>& staging) const;
  static void copy_to_array(const Output& output, const std::vector<float>& staging);
  std::shared_ptr<Buffer>& sized(std::shared_ptr<Buffer>& buffer, std::uint64_t elements) const;

  std::shared_ptr<Network> network_;
  std::shared_ptr<ForwardMemory> memory_;
  std::unique_ptr<ForwardStaging> staging_;
  std::uint32_t batch_;
  std::shared_ptr<Buffer> x_tensor_;
  Output out_;
  Output head_;
};

/// The same as a job.
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

}  // namespace dpm::addon
