// The ways in which cuDNN can compute a convolution and some of the following operations.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "cuda/dnn/plan.h"
#include "cuda/products/convolution_problem.h"

namespace dpm::cuda {

struct ConvolutionCandidate {
  /// Parts that the plan computes, as a sum of ConvolutionPart. They come before all others.
  unsigned parts = 0;
  /// The plan writes its pixels without gaps, no matter where the problem wants them.
  bool packed = false;
  /// The plan computes a data gradient, with the weights of the problem's `adjoint_of`.
  bool data_gradient = false;
  Plan plan;
};

struct CandidateOptions {
  PlanTarget target;
  /// Limit of the workspace in bytes.
  std::int64_t workspace_limit = std::numeric_limits<std::int64_t>::max();
  /// Parts that are joined wherever cuDNN can, as a sum of ConvolutionPart. Without a value nothing is joined, by the
  /// rule of `find_candidates`.
  std::optional<unsigned> joined = {};
  /// Result of an earlier `to_text` for the same problem, GPU and cuDNN; ignored where it is empty or no longer
  /// possible.
  std::string remembered = {};
  /// Tells whether to find all candidates that are worth a measurement; otherwise the one that is expected to be the
  /// fastest.
  bool all = false;
};

/// The candidate without its plan, as text for the plan cache: e.g. `3/2:`, `0p/62:2=0,27=8` or, of a data
/// gradient, `0g/67:`.
std::string to_text(const ConvolutionCandidate& candidate);

/// Finds at least one candidate for `problem`, with the expected best first.
///
/// By the rule that is the convolution alone, by an engine whose kernel is compiled already. The engines that join a
/// chain compile their kernels for up to three seconds, and on compute capability 9 the heuristics of cuDNN 9.19 choose
/// one of them that has the instructions of older GPUs. The operations after the convolution are left to kernels that
/// read the map anyway. An output inside a wider map is written packed: cuDNN would copy it from a workspace of its
/// own.
///
/// A convolution that reads its input with zeros between the elements is always the data gradient of a convolution of
/// stride 2, whose plans multiply no zeros.
///
/// With `all` there are some more of these, and the longest chain that can be joined.
///
/// Throws Error(kArgument) for a problem that `check_problem` refuses, Error(kUnsupported) when cuDNN has no plan at
/// all.
std::vector<ConvolutionCandidate> find_candidates(const CudnnLibrary& library, const ConvolutionProblem& problem,
                                                  const CandidateOptions& options);

}  // namespace dpm::cuda
