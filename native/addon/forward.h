// A network evaluation for JavaScript: copies typed arrays in and out, uses device tensors in place.
#pragma once

#include <napi.h>

#include <array>
#include <memory>
#include <vector>

#include "engine/network.h"

namespace dpm::addon {

/// Number of tensors of an evaluation, without times and labels: x, out, head, four of a derivative, three that a
/// network sees beside x, and the cotangent of one of these.
constexpr std::size_t kForwardTensors = 11;

/// Host copies of one call's arguments and results.
struct ForwardStaging {
  std::array<std::vector<float>, kForwardTensors> tensors;
  std::vector<float> times;
  std::vector<std::int32_t> labels;
  std::vector<std::uint32_t> groups;  ///< context of each sample; empty: sample n has context n
};

/// Buffers that finished calls leave for later ones, so that calls of equal size allocate nothing.
class ForwardMemory {
 public:
  /// Takes staging memory; called on the JavaScript thread.
  std::unique_ptr<ForwardStaging> take();
  void give_back(std::unique_ptr<ForwardStaging> staging);

  /// Device tensors; used on the thread that has the device.
  std::array<std::shared_ptr<Buffer>, kForwardTensors> tensors;
  std::shared_ptr<Buffer> time, labels, groups;

 private:
  std::vector<std::unique_ptr<ForwardStaging>> free_;
};

class Forward {
 public:
  /// Reads the arguments of `forward`: batch, x, t, labels, out, head, and the tensors of the derivative, or of what
  /// the network sees beside x, where it has such. Throws Error(kArgument).
  Forward(const Napi::CallbackInfo& info, std::shared_ptr<Network> network, std::shared_ptr<ForwardMemory> memory);
  ~Forward();
  Forward(const Forward&) = delete;
  Forward& operator=(const Forward&) = delete;

  /// Evaluates the network, on the thread that has the device.
  void run();
  /// Copies the results into the typed arrays, on the JavaScript thread.
  void deliver();

 private:
  struct Tensor {
    const char* what = nullptr;  ///< name of the tensor in messages; null where the evaluation has no such tensor
    dpm_view Evaluation::* place = nullptr;
    std::uint64_t stride = 0;
    std::uint64_t elements = 0;  ///< elements of all samples
    bool is_result = false;
    /// The caller's own device tensor, or null.
    std::shared_ptr<Buffer> tensor;
    /// The typed array that receives a result.
    Napi::Reference<Napi::Float32Array> array;
  };

  void read_conditions(const Napi::CallbackInfo& info);
  void read_derivative(const Napi::Object& tensors);
  void read_given(const Napi::Value& tensors);
  /// Reads the context of each sample, where samples share contexts.
  void read_groups(const Napi::Value& value);
  void read_cotangents(const Napi::Object& tensors);
  /// Reads the tensor of all gradients of weights.
  void read_gradients(const Napi::Value& value);
  void read_argument(std::size_t slot, const Napi::Value& value, const char* what, dpm_view Evaluation::* place,
                     std::uint64_t stride);
  /// Reads the contexts that samples share; those behind the last one that a sample has are left out.
  void read_shared_contexts(std::size_t slot, const Napi::Value& value);
  void read_result(std::size_t slot, const Napi::Value& value, const char* what, dpm_view Evaluation::* place,
                   std::uint64_t stride);
  /// Takes a tensor argument. Returns false where it is the caller's own device tensor.
  bool read_tensor(std::size_t slot, const Napi::Value& value);
  /// Takes the array that receives a result.
  void read_array(std::size_t slot, const Napi::Value& value);
  std::shared_ptr<Buffer>& sized(std::shared_ptr<Buffer>& buffer, std::uint64_t elements) const;

  std::shared_ptr<Network> network_;
  std::shared_ptr<ForwardMemory> memory_;
  std::unique_ptr<ForwardStaging> staging_;
  std::uint32_t batch_;
  std::array<Tensor, kForwardTensors> tensors_;
};

}  // namespace dpm::addon
