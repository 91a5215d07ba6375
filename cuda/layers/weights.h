// The weights of a product in the order in which the GPU reads them.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "core/dtype.h"

namespace dpm::cuda {

/// Sizes of a packed weight: the node's own, or more where channels are padded.
struct PackedShape {
  int out_channels = 0;
  int in_channels = 0;
};

/// Splits weights for images, which are stored as high terms x, low terms x' and x again (kernels/convert.h): the
/// weights in the order w, w, w', with w' the remainder of rounding w to `dtype`, so that the sum is the product of the
/// unrounded numbers except for x'w'. The network's input affects everything after it: near the end of a trajectory its
/// noise is smaller than the rounding of 16 bits.
std::vector<float> split_weights(const std::vector<float>& packed, int channels, int padded_channels, DType dtype);

/// Packs all parts of a convolution's weight as float32 [out channel][ky][kx][in channel], one after the other, with
/// zeros where `shape` is larger.
std::vector<float> pack_weights(const dpm_graph& graph, const dpm_node& node, const PackedShape& shape);

}  // namespace dpm::cuda
