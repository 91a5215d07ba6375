// The weights of a product in the order in which the card reads them.
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

/// For images, which are stored as high terms x, low terms x' and x again (kernels/convert.h): the weights in the order
/// w, w, w' with w' what rounding to `dtype` left over of w, so that the sum is the product of the unrounded numbers
/// but for x'w'. What enters the network decides about all that follows: near the end of a trajectory its noise is
/// smaller than the rounding of 16 bits.
std::vector<float> split_weights(const std::vector<float>& packed, int channels, int padded_channels, DType dtype);

/// Float32 [out channel][ky][kx][in channel] of all parts of a convolution's weight, one after the other, zeros where
/// `shape` is larger.
std::vector<float> pack_weights(const dpm_graph& graph, const dpm_node& node, const PackedShape& shape);

}  // namespace dpm::cuda
