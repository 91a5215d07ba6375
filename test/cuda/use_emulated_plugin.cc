// Makes `cuda` in tests the emulated device, unless the environment has chosen another.
#include <cstdlib>
#include <string>

#include "cuda_device.h"
#include "emulated_plugin.h"

namespace dpm::test {
namespace {

const int kChosen = setenv("DPM_CUDA_PLUGIN", emulated_plugin().c_str(), 0);

}  // namespace

void check_emulated_memory() {
  const char* chosen = std::getenv("DPM_CUDA_PLUGIN");
  if (chosen != nullptr && chosen == emulated_plugin()) emulation().check_memory();
}

}  // namespace dpm::test
