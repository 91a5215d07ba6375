// Differences between the two compilations of a kernel's source: with nvcc for the GPU, and with any C++ compiler for
// the emulation in test/cuda/simt.h, which runs a block's threads as fibers.
#pragma once

#if defined(DPM_CUDA_EMULATION)

#include "simt.h"

// Arguments are copied, because a stream that is being captured runs the kernel later.
#define DPM_LAUNCH(kernel, grid, block, stream, ...) \
  ::dpm::simt::launch((stream), (grid), (block), [=] { kernel(__VA_ARGS__); })

#else

#include <cuda_runtime.h>

/// Launches `kernel` on a stream with static shared memory only.
#define DPM_LAUNCH(kernel, grid, block, stream, ...) kernel<<<(grid), (block), 0, (stream)>>>(__VA_ARGS__)

#endif

namespace dpm::cuda {

constexpr unsigned kWarp = 32;
constexpr unsigned kWholeWarp = 0xFFFFFFFFu;
/// Maximum of blocks of a grid in its second dimension.
constexpr int kMostGridRows = 65535;

}  // namespace dpm::cuda
