// The cuDNN graph of a convolution and the following operations.
#pragma once

#include "cuda/dnn/plan.h"
#include "cuda/products/convolution_problem.h"

namespace dpm::cuda {

/// Ids of the graph's tensors in memory.
enum ConvolutionTensor : std::int64_t {
  kTensorX = 1,
  kTensorW = 2,  ///< weights, in the order that the graph requires
  kTensorBias = 3,
  kTensorResidual = 4,
  kTensorScale = 5,
  kTensorOut = 6,
};

/// Returns the alignment in bytes, at most 16, that the address of an image with this pixel stride needs.
std::int64_t image_alignment(std::int64_t pixel_stride, DType dtype);

/// Makes the finished graph of the convolution with `parts` (a sum of ConvolutionPart) after it. The scale is read from
/// host memory at each run. Throws Error(kUnsupported) when cuDNN has no such graph.
Descriptor make_convolution_graph(const CudnnLibrary& library, const ConvolutionProblem& problem, unsigned parts,
                                  const PlanTarget& target);

/// Makes the finished graph of the same convolution, without anything after it, as the data gradient of its
/// `adjoint_of`, whose weights it reads. Throws Error(kUnsupported) when there is no such convolution or cuDNN has no
/// such graph.
Descriptor make_data_gradient_graph(const CudnnLibrary& library, const ConvolutionProblem& problem,
                                    const PlanTarget& target);

/// Makes the finished graph of the gradient of the convolution's weights: from x and, as kTensorOut, the cotangent of
/// the output to kTensorW. Throws Error(kUnsupported) when cuDNN has no such graph.
Descriptor make_weight_gradient_graph(const CudnnLibrary& library, const ConvolutionProblem& problem,
                                      const PlanTarget& target);

}  // namespace dpm::cuda
