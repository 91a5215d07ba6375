// Networks on the emulated GPU, which counts its work.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <vector>

#include "cuda_device.h"
#include "sampling/run.h"
#include "small_network.h"
#include "small_programs.h"

namespace dpm::test {

/// Repairs the emulated GPU at the end of the scope.
struct Repaired {
  Repaired() = default;
  ~Repaired() {
    emulation().repair_device();
    emulation().limit_memory(kCardMemory);
  }
  Repaired(const Repaired&) = delete;
  Repaired& operator=(const Repaired&) = delete;
};

class EmulatedCuda : public CudaDevice {
 protected:
  std::vector<float> images(Network& network, const RunRequest& request) {
    return run_programs(network, request, running_).images.floats;
  }
  /// Runs a request until its memory has its final addresses, and its graphs are captured.
  std::vector<float> warm_up(Network& network, const RunRequest& request) {
    for (int i = 0; i < 2; ++i) images(network, request);
    return images(network, request);
  }
  simt::Counters counted(const std::function<void()>& body) {
    emulation().reset_counters();
    body();
    return emulation().counters();
  }

  SmallNetwork small_;
  std::atomic<bool> running_{false};
};

}  // namespace dpm::test
