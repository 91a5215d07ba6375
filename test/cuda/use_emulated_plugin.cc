// Lets the tests' `cuda` be the emulated device, unless somebody has chosen another.
#include <cstdlib>
#include <string_view>

#include "cuda_device.h"

namespace dpm::test {
namespace {

const int kChosen = setenv("DPM_CUDA_PLUGIN", DPM_EMULATED_PLUGIN, 0);

}  // namespace

void check_emulated_memory() {
  const char* chosen = std::getenv("DPM_CUDA_PLUGIN");
  if (chosen != nullptr && std::string_view(chosen) == DPM_EMULATED_PLUGIN) emulation().check_memory();
}

}  // namespace dpm::test
