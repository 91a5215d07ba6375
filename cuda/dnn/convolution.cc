#include "cuda/dnn/convolution.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.h"
#include "cuda/dnn/convolution_graph.h"
#include "cuda/dnn/operations.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

constexpr std::size_t kMostTimedPlans = 8;

/// `wanted`, then without its last part, and so on down to none: what is left must come after what is joined. Only
/// sets within `allowed`.
std::vector<unsigned> part_sets(unsigned wanted, unsigned allowed) {
  std::vector<unsigned> sets{wanted};
  for (const unsigned part : {kPartSilu, kPartScale, kPartResidual, kPartBias}) {
    if ((sets.back() & part) != 0) sets.push_back(sets.back() & ~part);
  }
  std::erase_if(sets, [&](unsigned parts) { return (parts & ~allowed) != 0; });
  return sets;
}

/// The graph, or nothing when cuDNN has no such graph.
std::optional<Descriptor> try_graph(const CudnnLibrary& library, const ConvolutionProblem& problem, unsigned parts,
                                    const PlanTarget& target) {
  try {
    return make_convolution_graph(library, problem, parts, target);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kUnsupported) return std::nullopt;
    throw;
  }
}

/// The list of addresses of one run.
class Addresses {
 public:
  void add(std::int64_t id, const void* address, std::int64_t alignment) {
    require(address != nullptr, "an address of the convolution is null");
    require(reinterpret_cast<std::uintptr_t>(address) % static_cast<std::uintptr_t>(alignment) == 0,
            "an address of the convolution is not aligned");
    ids_.at(count_) = id;
    addresses_.at(count_) = address;
    ++count_;
  }
  [[nodiscard]] std::span<const std::int64_t> ids() const { return std::span(ids_).first(count_); }
  [[nodiscard]] std::span<const void* const> addresses() const { return std::span(addresses_).first(count_); }

 private:
  std::array<std::int64_t, 6> ids_{};
  std::array<const void*, 6> addresses_{};
  std::size_t count_ = 0;
};

}  // namespace

Convolution::Convolution(const CudnnLibrary& library, const ConvolutionProblem& problem,
                         const ConvolutionOptions& options)
    : Convolution(library, problem, options, find_start(library, problem, options)) {}

Convolution::Convolution(const CudnnLibrary& library, const ConvolutionProblem& problem,
                         const ConvolutionOptions& options, Start start)
    : library_(&library), problem_(problem), parts_(start.parts), plan_(std::move(start.plan)) {
  if (!start.others.empty()) keep_fastest(options.timer, std::move(start.others));
}

Convolution::Start Convolution::find_start(const CudnnLibrary& library, const ConvolutionProblem& problem,
                                           const ConvolutionOptions& options) {
  check_problem(problem);
  const PlanRules rules{options.workspace_limit, problem.dtype == DType::kFloat32 && !problem.tf32};
  std::vector<Start> restored = restore(library, problem, options, rules);
  if (!restored.empty()) return std::move(restored.front());
  const std::size_t limit = options.timer ? kMostTimedPlans : 1;
  for (const unsigned parts : part_sets(wanted_parts(problem), options.allowed_parts)) {
    const std::optional<Descriptor> graph = try_graph(library, problem, parts, options.target);
    if (!graph) continue;
    std::vector<Plan> plans = find_plans(library, *graph, options.target, rules, limit);
    if (plans.empty()) continue;
    Start start{parts, std::move(plans.front()), {}};
    std::move(plans.begin() + 1, plans.end(), std::back_inserter(start.others));
    return start;
  }
  throw Error(ErrorCode::kUnsupported, "cuDNN has no plan for " + problem_key(problem));
}

std::vector<Convolution::Start> Convolution::restore(const CudnnLibrary& library, const ConvolutionProblem& problem,
                                                     const ConvolutionOptions& options, const PlanRules& rules) {
  const std::size_t slash = options.remembered.find('/');
  if (slash == std::string::npos) return {};
  const std::string parts_text = options.remembered.substr(0, slash);
  const auto choice = parse_engine_choice(options.remembered.substr(slash + 1));
  if (!choice) return {};
  std::vector<Start> found;
  for (const unsigned parts : part_sets(wanted_parts(problem), options.allowed_parts)) {
    if (std::to_string(parts) != parts_text) continue;
    const std::optional<Descriptor> graph = try_graph(library, problem, parts, options.target);
    if (!graph) break;
    for (Plan& plan : restore_plan(library, *graph, options.target, rules, *choice)) {
      found.push_back({parts, std::move(plan), {}});
    }
  }
  return found;
}

void Convolution::keep_fastest(const ConvolutionTimer& timer, std::vector<Plan> others) {
  // A plan that fails when it runs counts as endlessly slow.
  bool no_memory = false;
  const auto seconds = [&]() {
    try {
      return timer(*this);
    } catch (const CardFailure&) {
      throw;
    } catch (const Error& error) {
      no_memory = no_memory || error.code() == ErrorCode::kOutOfMemory;
      return HUGE_VAL;
    }
  };
  double best = seconds();
  for (Plan& other : others) {
    std::swap(plan_, other);
    const double taken = seconds();
    if (taken < best) {
      best = taken;
    } else {
      std::swap(plan_, other);
    }
  }
  // Without memory for a trial the first plan is still the expected best.
  if (best == HUGE_VAL && !no_memory) {
    throw Error(ErrorCode::kUnsupported, "no plan of cuDNN runs for " + problem_key(problem_));
  }
}

std::string Convolution::choice() const { return std::to_string(parts_) + "/" + to_text(plan_.choice); }

void Convolution::run(cudnnHandle_t handle, const ConvolutionBuffers& buffers) const {
  const DType dtype = problem_.dtype;
  Addresses list;
  list.add(kTensorX, buffers.x, image_alignment(problem_.in_pixel_stride, dtype));
  list.add(kTensorW, buffers.w, image_alignment(problem_.in_channels, dtype));
  list.add(kTensorOut, buffers.out, image_alignment(problem_.out_pixel_stride, dtype));
  if ((parts_ & kPartBias) != 0) list.add(kTensorBias, buffers.bias, 16);
  if ((parts_ & kPartResidual) != 0) {
    list.add(kTensorResidual, buffers.residual, image_alignment(problem_.residual_pixel_stride, dtype));
  }
  if ((parts_ & kPartScale) != 0) list.add(kTensorScale, &problem_.scale, alignof(float));
  require(buffers.workspace != nullptr || plan_.workspace_bytes == 0, "the convolution's workspace is null");
  const Descriptor pack = make_variant_pack(*library_, list.ids(), list.addresses(), buffers.workspace);
  check_cudnn(*library_, library_->execute(handle, plan_.descriptor.get(), pack.get()), "running the convolution");
}

}  // namespace dpm::cuda
