// The installed cuDNN for tests that need no card.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <optional>
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

/// An H100 as cuDNN describes it; the names are those that cuDNN 9.28 asks for.
inline const char* h100_json() {
  return R"({"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"regsPerBlock":65536,
    "multiProcessorCount":132,"smCountOrigin":0,"warpSize":32,"maxSharedMemoryPerBlock":49152,
    "maxSharedMemoryPerBlockOptin":232448,"oversizedSharedMemoryPerBlock":0,"reservedSharedMemoryPerBlock":1024,
    "maxRegistersPerSM":65536,"maxCtasPerSM":32,"maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":0,
    "isTccDriver":0,"supportCoopLaunch":1,"smClockRateKHz":1980000,"memClockRateKHz":2619000,"memoryBusWidth":5120,
    "l2CacheSize":52428800,"deviceName":"NVIDIA H100 80GB HBM3","deviceVer":900,"driverVer":13000,
    "totalGlobalMem":85000000000,"cudaDeviceId":0})";
}

class RealCudnn : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    library_ = real_cudnn(&reason);
    if (library_ == nullptr) GTEST_SKIP() << "skipped: no cuDNN library\n" << reason;
  }

  [[nodiscard]] const CudnnLibrary& library() const { return *library_; }

 private:
  const CudnnLibrary* library_ = nullptr;
};

/// Plans for an H100 that is only described.
class RealCudnnForCard : public RealCudnn {
 protected:
  void SetUp() override {
    RealCudnn::SetUp();
    if (IsSkipped()) return;
    // A driver would refuse kernels for another card than its own.
    if (has_driver()) GTEST_SKIP() << "skipped: there is a driver";
    // Which values the description needs changes with the version.
    if (library().version < 92800) GTEST_SKIP() << "skipped: the description of the card is one of cuDNN 9.28";
    device_.emplace(make_device(library(), h100_json()));
  }

  [[nodiscard]] PlanTarget target() const { return {nullptr, &*device_}; }

 private:
  std::optional<Descriptor> device_;
};

}  // namespace dpm::cuda
