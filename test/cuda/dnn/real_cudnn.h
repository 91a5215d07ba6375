// The installed cuDNN for tests that need no card.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "cuda/dnn/library.h"
#include "cuda/dnn/plan.h"

namespace dpm::cuda {

/// True where NVIDIA's driver is installed.
inline bool has_driver() {
  static const bool present = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) != nullptr;
  return present;
}

/// cuDNN, or null where it is not installed. Puts a stand-in in place of a missing driver first.
inline const CudnnLibrary* real_cudnn(std::string* reason) {
  static const bool opens = has_driver() || dlopen(DPM_DRIVER_STUB, RTLD_NOW | RTLD_GLOBAL) != nullptr;
  if (opens) return find_cudnn(reason);
  *reason = "neither a driver nor its stand-in opens";
  return nullptr;
}

/// The name of the kernel that cuDNN compiled last on this thread, empty when it compiled none since `forget_kernel`.
inline std::string last_kernel() {
  const auto name = reinterpret_cast<const char* (*)()>(dlsym(RTLD_DEFAULT, "dpm_stub_last_kernel"));
  return name == nullptr ? "" : name();
}
inline void forget_kernel() {
  const auto forget = reinterpret_cast<void (*)()>(dlsym(RTLD_DEFAULT, "dpm_stub_forget_kernel"));
  if (forget != nullptr) forget();
}

/// A card as cuDNN describes it, with the names that cuDNN 9.28 asks for; 9.19 takes them, too. That of the H100 was
/// put together from its data sheet; scripts/gpu-check reads the description of the card that it runs on.
inline std::string card_json(const std::string& name) {
  std::ifstream file(std::string(DPM_SOURCE_DIR "/test/cuda/dnn/cards/") + name + ".json");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class RealCudnn : public testing::Test {
 public:
  [[nodiscard]] const CudnnLibrary& library() const { return *library_; }

 protected:
  void SetUp() override {
    std::string reason;
    library_ = real_cudnn(&reason);
    if (library_ == nullptr) GTEST_SKIP() << "skipped: no cuDNN library\n" << reason;
  }

 private:
  const CudnnLibrary* library_ = nullptr;
};

/// Plans for an H100 that is only described.
class RealCudnnForCard : public RealCudnn {
 public:
  [[nodiscard]] PlanTarget target() const { return {nullptr, &*device_, 90}; }

 protected:
  void SetUp() override {
    RealCudnn::SetUp();
    if (IsSkipped()) return;
    // A driver would refuse kernels for another card than its own.
    if (has_driver()) GTEST_SKIP() << "skipped: there is a driver";
    device_.emplace(make_device(library(), card_json("h100")));
  }

 private:
  std::optional<Descriptor> device_;
};

}  // namespace dpm::cuda
