// The CUDA device for tests: the emulated one, or a real GPU where the tests were built for one.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <string>

#include "engine/device.h"
#include "graph_runner.h"

#if defined(DPM_CUDA_EMULATION)
#include "emulated_device.h"
#include "emulated_plugin.h"
#endif

namespace dpm::test {

#if defined(DPM_CUDA_EMULATION)

/// Returns the controls of the emulated plug-in that the registry has opened.
inline const dpm_emulation_controls& emulation() {
  void* library = dlopen(emulated_plugin().c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto function =
      library == nullptr ? nullptr : reinterpret_cast<dpm_emulation_function>(dlsym(library, DPM_EMULATION));
  if (function == nullptr) throw Error(ErrorCode::kInternal, "the emulated plug-in has no controls");
  return *function();
}

/// Memory of the emulated GPU, unless a test sets another size.
constexpr std::size_t kCardMemory = std::size_t{8} << 30;

/// Checks the chosen plug-in, if it is the emulated one: ends the process if anything was written beside an allocation,
/// or into freed memory.
void check_emulated_memory();
#endif

/// Fixture whose tests are skipped where no GPU can be used.
class CudaDevice : public testing::Test {
 protected:
  void SetUp() override {
    try {
      device_ = Device::open("cuda:0", {});
    } catch (const Error& error) {
      GTEST_SKIP() << "skipped: no CUDA device: " << error.what();
    }
  }

#if defined(DPM_CUDA_EMULATION)
  void TearDown() override { check_emulated_memory(); }

  /// Opens a device while its GPU has `bytes` of memory, of which the device takes shares.
  static std::shared_ptr<Device> open_on_card_of(std::size_t bytes) {
    emulation().limit_memory(bytes);
    auto device = Device::open("cuda:0", {});
    emulation().limit_memory(kCardMemory);
    return device;
  }
#endif

  static std::shared_ptr<Device> open(DType dtype) {
    DeviceOptions options;
    options.dtype = dtype;
    return Device::open("cuda:0", options);
  }

  std::shared_ptr<Device> device_;
};

}  // namespace dpm::test
