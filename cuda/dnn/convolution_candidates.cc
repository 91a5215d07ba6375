#include "cuda/dnn/convolution_candidates.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "cuda/dnn/convolution_graph.h"

namespace dpm::cuda {
namespace {

constexpr std::size_t kMostBare = 8;
/// Limit of joined plans, each of which may take seconds to compile.
constexpr std::size_t kMostJoined = 3;

/// A form of the graph: the joined parts and the place of the output.
struct Form {
  unsigned parts = 0;
  bool packed = false;
  bool data_gradient = false;
};

std::string name_of(const Form& form) {
  return std::to_string(form.parts) + (form.packed ? "p" : "") + (form.data_gradient ? "g" : "");
}

class Finder {
 public:
  Finder(const CudnnLibrary& library, const ConvolutionProblem& problem, const CandidateOptions& options)
      : library_(library), problem_(problem), options_(options) {
    rules_.workspace_limit = options.workspace_limit;
    rules_.exact_inputs = problem.dtype == DType::kFloat32 && !problem.tf32;
  }

  void find() {
    if (restore()) return;
    const std::size_t bare_limit = options_.all ? kMostBare : 1;
    if (!options_.joined) add({0, is_strided(), is_gradient()}, bare_limit, true);
    if (!is_gradient() && (options_.all || options_.joined)) {
      add_longest_chain(options_.joined.value_or(kAllParts));
    }
    // An engine that compiles its kernel is still better than none.
    if (found_.empty()) add({0, false, is_gradient()}, 1, false);
  }

  std::vector<ConvolutionCandidate> take() { return std::move(found_); }

 private:
  static constexpr unsigned kAllParts = kPartBias | kPartResidual | kPartScale | kPartSilu;

  /// Returns whether the convolution is a data gradient: convolutions of cuDNN cannot insert zeros into their input.
  [[nodiscard]] bool is_gradient() const { return problem_.zero_upsample; }
  [[nodiscard]] bool is_strided() const { return problem_.out_pixel_stride != problem_.out_channels; }

  /// Makes the graph; empty when cuDNN has no such graph.
  [[nodiscard]] std::optional<Descriptor> graph_of(const Form& form) const {
    ConvolutionProblem problem = problem_;
    if (form.packed) problem.out_pixel_stride = problem.out_channels;
    try {
      if (form.data_gradient) return make_data_gradient_graph(library_, problem, options_.target);
      return make_convolution_graph(library_, problem, form.parts, options_.target);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kUnsupported) return std::nullopt;
      throw;
    }
  }

  /// Adds plans of a form; returns whether there were any.
  bool add(const Form& form, std::size_t limit, bool precompiled) {
    const std::optional<Descriptor> graph = graph_of(form);
    if (!graph) return false;
    PlanRules rules = rules_;
    rules.precompiled = precompiled;
    std::vector<Plan> plans = find_plans(library_, *graph, options_.target, rules, limit);
    for (Plan& plan : plans) found_.push_back({form.parts, form.packed, form.data_gradient, std::move(plan)});
    return !plans.empty();
  }

  /// Adds the longest chain that cuDNN supports within `allowed`: all wanted parts, or else without the last one, and
  /// so on, because the rest must come after the joined parts.
  void add_longest_chain(unsigned allowed) {
    unsigned parts = wanted_parts(problem_);
    for (const unsigned last : {0U, unsigned{kPartSilu}, unsigned{kPartScale}, unsigned{kPartResidual}}) {
      parts &= ~last;
      if (parts == 0) return;
      if ((parts & ~allowed) == 0 && add({parts, false, false}, options_.all ? kMostJoined : 1, false)) return;
    }
  }

  /// Restores the remembered candidate; returns false where it is no longer possible.
  bool restore() {
    const std::size_t slash = options_.remembered.find('/');
    if (slash == std::string::npos) return false;
    const auto choice = parse_engine_choice(options_.remembered.substr(slash + 1));
    const std::optional<Form> form = form_of(options_.remembered.substr(0, slash));
    const std::optional<Descriptor> graph = choice && form ? graph_of(*form) : std::nullopt;
    if (!graph) return false;
    for (Plan& plan : restore_plan(library_, *graph, options_.target, rules_, *choice)) {
      found_.push_back({form->parts, form->packed, form->data_gradient, std::move(plan)});
    }
    return !found_.empty();
  }

  /// Returns the form of this name, if the problem has it.
  [[nodiscard]] std::optional<Form> form_of(const std::string& name) const {
    unsigned parts = is_gradient() ? 0 : wanted_parts(problem_);
    for (const unsigned last :
         {0U, unsigned{kPartSilu}, unsigned{kPartScale}, unsigned{kPartResidual}, unsigned{kPartBias}}) {
      parts &= ~last;
      for (const bool packed : {false, true}) {
        const Form form{parts, packed, is_gradient()};
        if (name == name_of(form) && (!packed || is_strided())) return form;
      }
    }
    return std::nullopt;
  }

  const CudnnLibrary& library_;
  const ConvolutionProblem& problem_;
  const CandidateOptions& options_;
  PlanRules rules_;
  std::vector<ConvolutionCandidate> found_;
};

}  // namespace

std::string to_text(const ConvolutionCandidate& candidate) {
  return name_of({candidate.parts, candidate.packed, candidate.data_gradient}) + "/" + to_text(candidate.plan.choice);
}

std::vector<ConvolutionCandidate> find_candidates(const CudnnLibrary& library, const ConvolutionProblem& problem,
                                                  const CandidateOptions& options) {
  check_problem(problem);
  Finder finder(library, problem, options);
  finder.find();
  std::vector<ConvolutionCandidate> found = finder.take();
  if (found.empty()) throw Error(ErrorCode::kUnsupported, "cuDNN has no plan for " + problem_key(problem));
  return found;
}

}  // namespace dpm::cuda
