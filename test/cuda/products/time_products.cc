#include "time_products.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <variant>
#include <vector>

#include "attention_trial.h"
#include "convolution_trial.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// Returns whether the library may get the problem: it may count the elements of a map in 32 bits, so the plug-in asks
/// it for no larger ones.
bool is_librarys(const ConvolutionProblem& p) {
  const auto elements = [&](int height, int width, std::int64_t pixel_stride) {
    return std::int64_t{p.batch} * height * width * pixel_stride;
  };
  const std::int64_t residual = p.residual ? elements(p.out_height, p.out_width, p.residual_pixel_stride) : 0;
  return std::max({elements(p.in_height, p.in_width, p.in_pixel_stride),
                   elements(p.out_height, p.out_width, p.out_pixel_stride), residual}) <=
         std::numeric_limits<std::int32_t>::max();
}

class Timing {
 public:
  explicit Timing(const ProductTiming& timing) : timing_(timing) {}

  void one(const Problem& problem) {
    try {
      std::visit([&](const auto& each) { attempt(each); }, problem);
    } catch (const CardFailure&) {
      throw;
    } catch (const Error& error) {
      print(problem, {.kind = "refused", .error = error.what()});
    }
    ++summary_.done;
  }

  [[nodiscard]] const TimingSummary& summary() const { return summary_; }

 private:
  void attempt(const ConvolutionProblem& problem) {
    if (!is_librarys(problem)) throw Error(ErrorCode::kUnsupported, "a map has more than 2^31 - 1 elements");
    ConvolutionTrial trial(timing_.stream, problem);
    print(problem, trial.own());
    if (const std::optional<TrialRow> small = trial.small()) print(problem, *small);
    if (timing_.products != nullptr) try_candidates(problem, &trial);
  }

  void attempt(const AttentionProblem& problem) {
    AttentionTrial trial(timing_.stream, problem);
    print(problem, trial.own());
    if (timing_.products == nullptr) return;
    const std::shared_ptr<const AttentionPlan> plan = timing_.products->attention(problem);
    if (plan == nullptr) throw Error(ErrorCode::kUnsupported, "the library leaves it to our own kernel");
    print(problem, trial.library(*plan));
  }

  void try_candidates(const ConvolutionProblem& problem, ConvolutionTrial* trial) {
    std::vector<MeasuredCandidate> measured;
    std::string chosen;
    double best = HUGE_VAL;
    for (const NamedPlan& named : timing_.products->candidates(problem)) {
      const TrialRow row = trial->candidate(named);
      print(problem, row);
      const double seconds = row.right.value_or(false) ? row.seconds.value_or(HUGE_VAL) : HUGE_VAL;
      measured.push_back({named.text, seconds});
      if (seconds >= best) continue;
      best = seconds;
      chosen = named.text;
    }
    timing_.products->keep(problem, chosen, measured);
    timing_.products->save();
  }

  void print(const Problem& problem, const TrialRow& row) {
    timing_.print(to_json(problem, row));
    if (!row.right.value_or(true)) ++summary_.wrong;
    if (!row.error.empty()) ++summary_.failed;
  }

  const ProductTiming& timing_;
  TimingSummary summary_;
};

std::vector<ConvolutionProblem> convolutions_of(std::span<const Problem> problems) {
  std::vector<ConvolutionProblem> convolutions;
  for (const Problem& problem : problems) {
    const auto* convolution = std::get_if<ConvolutionProblem>(&problem);
    if (convolution != nullptr && is_librarys(*convolution)) convolutions.push_back(*convolution);
  }
  return convolutions;
}

}  // namespace

TimingSummary time_products(const ProductTiming& timing, std::span<const Problem> problems) {
  Timing each(timing);
  for (std::size_t i = 0; i < problems.size() && !timing.is_late(); ++i) {
    if (timing.products != nullptr && i % timing.at_once == 0) {
      timing.products->prepare(convolutions_of(problems.subspan(i, std::min(timing.at_once, problems.size() - i))));
      if (timing.is_late()) break;
    }
    each.one(problems[i]);
  }
  return each.summary();
}

}  // namespace dpm::cuda
