#include "platform/library.h"

namespace dpm::platform {

const char* cuda_driver() { return "libcuda.so.1"; }

}  // namespace dpm::platform
