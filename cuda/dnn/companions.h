// The CUDA libraries that cuDNN opens by name while it works.
#pragma once

#include <string>

#include "cuda/dnn/library.h"

namespace dpm::cuda {

/// Makes cuBLASLt and NVRTC of CUDA `major` findable for the cuDNN in `folder`, by opening them: by plain name,
/// from the folder, from the folders that wheels put them into beside it, or from $CUDA_HOME or $CUDA_PATH.
/// Names what is needed and found nowhere; empty when nothing is missing.
///
/// cuDNN 9 ends the process when it cannot open cuBLASLt, so this must be asked before the first plan.
std::string open_companions(const Environment& environment, const Loader& loader, const std::string& folder, int major);

}  // namespace dpm::cuda
