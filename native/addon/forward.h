// One network evaluation asked for by JavaScript: copies typed arrays in and out, uses device tensors in place.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "addon/network_wrap.h"

namespace dpm::addon {

class Forward {
 public:
  /// Reads the arguments of `forward`: batch, x, t, labels, out, head. Throws Error(kArgument).
  Forward(const Napi::CallbackInfo& info, std::shared_ptr<Network> network, std::shared_ptr<ForwardBuffers> buffers);

  /// Evaluates; on whichever thread has the device.
  void run();
  /// Copies results into the typed arrays; on the JavaScript thread.
  void deliver();

 private:
  struct Output {
    std::shared_ptr<Buffer> tensor;
    Napi::Reference<Napi::Float32Array> array;
    std::vector<float> staging;
    std::uint64_t stride = 0;
  };

  void read_output(const Napi::Value& value, const char* what, std::uint64_t stride, Output& output) const;
  dpm_view bind(Output& output, std::shared_ptr<Buffer>& buffer) const;
  static void copy_out(Output& output, const Buffer& buffer);
  std::shared_ptr<Buffer>& sized(std::shared_ptr<Buffer>& buffer, std::uint64_t elements) const;

  std::shared_ptr<Network> network_;
  std::shared_ptr<ForwardBuffers> buffers_;
  std::uint32_t batch_;
  std::shared_ptr<Buffer> x_tensor_;
  std::vector<float> x_;
  std::vector<float> times_;
  std::vector<std::int32_t> labels_;
  Output out_;
  Output head_;
};

}  // namespace dpm::addon
