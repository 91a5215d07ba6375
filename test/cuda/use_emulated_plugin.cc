// Lets the tests' `cuda` be the emulated device, unless somebody has chosen another.
#include <cstdlib>

namespace {

const int kChosen = setenv("DPM_CUDA_PLUGIN", DPM_EMULATED_PLUGIN, 0);

}  // namespace
