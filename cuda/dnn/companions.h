// The CUDA libraries that cuDNN opens by name while it works.
#pragma once

#include <string>

#include "cuda/dnn/library.h"

namespace dpm::cuda {

/// Makes cuBLASLt and NVRTC of CUDA `major` available to the cuDNN in `folder`, by opening them: by plain name, from
/// the folder, from the folders beside it where wheels install them, or from $CUDA_HOME or $CUDA_PATH. Returns the
/// names of required libraries that were not found; empty when nothing is missing.
///
/// cuDNN 9 ends the process when it cannot open cuBLASLt, so this must be called before the first plan.
std::string open_companions(const Environment& environment, const Loader& loader, const std::string& folder, int major);

}  // namespace dpm::cuda
