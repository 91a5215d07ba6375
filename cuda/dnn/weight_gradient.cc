#include "cuda/dnn/weight_gradient.h"

#include <array>
#include <utility>

#include "core/error.h"
#include "cuda/dnn/convolution_graph.h"
#include "cuda/dnn/operations.h"

namespace dpm::cuda {
namespace {

Plan make_plan(const CudnnLibrary& library, const ConvolutionProblem& problem, const PlanTarget& target,
               std::int64_t workspace_limit) {
  check_problem(problem);
  const Descriptor graph = make_weight_gradient_graph(library, problem, target);
  PlanRules rules;
  rules.workspace_limit = workspace_limit;
  rules.exact_inputs = problem.dtype == DType::kFloat32 && !problem.tf32;
  for (const bool precompiled : {true, false}) {
    rules.precompiled = precompiled;
    // Engines that compile their kernel are other ones than a convolution's of the same index.
    rules.hopper_first = precompiled;
    std::vector<Plan> plans = find_plans(library, graph, target, rules, 1);
    if (!plans.empty()) return std::move(plans.front());
  }
  throw Error(ErrorCode::kUnsupported, "cuDNN has no plan for the weight gradient of " + problem_key(problem));
}

}  // namespace

WeightGradient::WeightGradient(const CudnnLibrary& library, const ConvolutionProblem& problem, const PlanTarget& target,
                               std::int64_t workspace_limit)
    : library_(&library), problem_(problem), plan_(make_plan(library, problem, target, workspace_limit)) {}

void WeightGradient::run(cudnnHandle_t handle, const WeightGradientBuffers& buffers) const {
  const std::array<std::pair<const void*, std::int64_t>, 3> given{
      std::pair{buffers.x, image_alignment(problem_.in_pixel_stride, problem_.dtype)},
      std::pair{static_cast<const void*>(buffers.w), std::int64_t{16}},
      std::pair{buffers.d, image_alignment(problem_.out_pixel_stride, problem_.dtype)}};
  for (const auto& [address, alignment] : given) {
    require(address != nullptr, "an address of the weight gradient is null");
    require(reinterpret_cast<std::uintptr_t>(address) % static_cast<std::uintptr_t>(alignment) == 0,
            "an address of the weight gradient is not aligned");
  }
  require(buffers.workspace != nullptr || plan_.workspace_bytes == 0, "the weight gradient's workspace is null");
  const std::array<std::int64_t, 3> ids{kTensorX, kTensorW, kTensorOut};
  const std::array<const void*, 3> addresses{buffers.x, buffers.w, buffers.d};
  const Descriptor pack = make_variant_pack(*library_, ids, addresses, buffers.workspace);
  check_cudnn(*library_, library_->execute(handle, plan_.descriptor.get(), pack.get()), "running the weight gradient");
}

}  // namespace dpm::cuda
