// The CUDA runtime: NVIDIA's, or the tests' emulation of the part that is used here.
#pragma once

#if defined(DPM_CUDA_EMULATION)
#include "runtime.h"
#else
#include <cuda_runtime_api.h>
#endif
