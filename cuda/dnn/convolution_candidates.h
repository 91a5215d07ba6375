// The ways in which cuDNN can compute a convolution and a part of what follows it.
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
  /// The parts that the plan computes, as a sum of ConvolutionPart. They come before all others.
  unsigned parts = 0;
  /// The plan writes its pixels without a gap, wherever the problem wants them.
  bool packed = false;
  /// The plan computes a data gradient, whose weights are those of `adjoint_of` the problem.
  bool data_gradient = false;
  Plan plan;
};

struct CandidateOptions {
  PlanTarget target;
  /// Bytes.
  std::int64_t workspace_limit = std::numeric_limits<std::int64_t>::max();
  /// The parts that are joined wherever cuDNN can, as a sum of ConvolutionPart. Without it the rule decides: nothing is
  /// joined.
  std::optional<unsigned> joined = {};
  /// What `to_text` said of a candidate for the same problem, card and cuDNN before; empty or no longer possible:
  /// ignored.
  std::string remembered = {};
  /// All that are worth a measurement; else the one that is expected to be the fastest.
  bool all = false;
};

/// The candidate without its plan, as text for the plan cache: e.g. `3/2:`, `0p/62:2=0,27=8` or, of a data
/// gradient, `0g/67:`.
std::string to_text(const ConvolutionCandidate& candidate);

/// Candidates for `problem`, the expected best first, at least one.
///
/// By the rule that is the convolution alone, by an engine whose kernel is compiled already: the engines that join a
/// chain compile theirs for up to three seconds, and on compute capability 9 the heuristics of cuDNN 9.19 choose one of
/// them that has the instructions of older cards. What follows the convolution is left to kernels that touch the map
/// anyway. An output inside a wider map is written packed: cuDNN would copy it from a workspace of its own.
///
/// What reads its input with zeros between the elements is the data gradient of a convolution of stride 2, and nothing
/// else: its plans multiply no zeros.
///
/// With `all` there are some more of these, and the longest chain that can be joined.
///
/// Error(kArgument) for a problem that `check_problem` refuses, Error(kUnsupported) when cuDNN has no plan at all.
std::vector<ConvolutionCandidate> find_candidates(const CudnnLibrary& library, const ConvolutionProblem& problem,
                                                  const CandidateOptions& options);

}  // namespace dpm::cuda
