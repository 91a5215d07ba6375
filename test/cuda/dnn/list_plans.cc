// A program that prints, as rows of Markdown, the plan that cuDNN gets for every convolution of a table of shapes on a
// GPU that is only described: with all parts joined, by its heuristics, and by the rule; then those of their data
// gradients. Needs no GPU.
//
//   dpm_list_plans SHAPES CARD [BATCH, default 1]     e.g. test/cuda/dnn/network_shapes.tsv
//   test/cuda/dnn/cards/h100.json
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <map>
#include <set>
#include <string>

#include "core/error.h"
#include "cuda/dnn/convolution_candidates.h"
#include "cuda/dnn/convolution_graph.h"
#include "described_card.h"
#include "network_shapes.h"

namespace dpm::cuda {
namespace {

struct Row {
  std::string engine;
  std::string kernel;
  unsigned parts = 0;
  bool is_hopper = false;
  double seconds = 0;
};

std::string names_of(unsigned parts) {
  if (parts == 0) return "none";
  std::string names;
  const auto add = [&](unsigned part, const char* name) {
    if ((parts & part) != 0) names += (names.empty() ? "" : ", ") + std::string(name);
  };
  add(kPartBias, "bias");
  add(kPartResidual, "residual");
  add(kPartScale, "scale");
  add(kPartSilu, "SiLU");
  return names;
}

/// Describes a problem without the fields that differ between networks.
std::string shape_of(const ConvolutionProblem& p) {
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  std::string text = number(p.in_height) + "x" + number(p.in_width) + ", " + number(p.in_channels) + " to " +
                     number(p.out_channels) + ", " + number(p.kernel) + "x" + number(p.kernel);
  if (p.stride > 1) text += ", stride " + number(p.stride);
  if (p.in_pixel_stride != p.in_channels) text += ", input in " + number(p.in_pixel_stride);
  if (p.out_pixel_stride != p.out_channels) text += ", output in " + number(p.out_pixel_stride);
  return text;
}

/// Returns the kernel's name where it was compiled, without its templates' arguments, which are longer than a line.
std::string kernel_of(bool compiled) {
  constexpr std::size_t kLongest = 60;
  if (!compiled) return "precompiled";
  return last_kernel().substr(0, kLongest);
}

Row plan(const CudnnLibrary& library, const ConvolutionProblem& problem, const CandidateOptions& options) {
  forget_kernel();
  const auto start = std::chrono::steady_clock::now();
  Row row;
  try {
    const ConvolutionCandidate found = std::move(find_candidates(library, problem, options).front());
    row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    row.engine = std::to_string(found.plan.choice.engine);
    row.kernel = kernel_of(!last_kernel().empty());
    row.parts = found.parts;
    row.is_hopper = is_hopper(found.plan.choice);
  } catch (const Error&) {
    row.kernel = "no plan";
  }
  return row;
}

struct Total {
  int hopper = 0;
  double seconds = 0;

  void add(const Row& row) {
    hopper += row.is_hopper ? 1 : 0;
    seconds += row.seconds;
  }
};

void print(const Row& row) {
  std::printf(" %s | %s%s | %s | %.3f |", row.engine.c_str(), row.kernel.c_str(), row.is_hopper ? " (sm_90)" : "",
              names_of(row.parts).c_str(), row.seconds);
}

void list_convolutions(const CudnnLibrary& library, const Descriptor& device,
                       const std::vector<ConvolutionProblem>& problems) {
  CandidateOptions joined;
  joined.target = {nullptr, &device, 0};
  joined.joined = unsigned{kPartBias | kPartResidual | kPartScale | kPartSilu};
  CandidateOptions rule;
  rule.target = {nullptr, &device, 90};
  std::printf("| convolution | engine | kernel | joined | seconds | engine | kernel | joined | seconds |\n");
  std::printf("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
  std::set<std::string> seen;
  Total before;
  Total after;
  for (const ConvolutionProblem& problem : problems) {
    const std::string wanted = shape_of(problem) + "; " + names_of(wanted_parts(problem));
    if (!seen.insert(wanted).second) continue;
    std::printf("| %s |", wanted.c_str());
    const Row first = plan(library, problem, joined);
    const Row second = plan(library, problem, rule);
    print(first);
    print(second);
    before.add(first);
    after.add(second);
    std::printf("\n");
    std::fflush(stdout);
  }
  std::printf("\n%zu convolutions: %d Hopper kernels in %.1f s, then %d in %.1f s\n", seen.size(), before.hopper,
              before.seconds, after.hopper, after.seconds);
}

/// Lists data gradients by cuDNN's own operation, even where the rule takes another for those without zeros between
/// their elements.
void list_data_gradients(const CudnnLibrary& library, const Descriptor& device,
                         const std::vector<ConvolutionProblem>& problems) {
  std::printf("\n| data gradient of | engine and settings | workspace |\n| --- | --- | --- |\n");
  const PlanTarget target{nullptr, &device, 90};
  std::set<std::string> seen;
  int hopper = 0;
  for (const ConvolutionProblem& problem : problems) {
    if (!seen.insert(shape_of(problem)).second) continue;
    const Descriptor graph = make_data_gradient_graph(library, data_gradient_of(problem), target);
    const std::vector<Plan> plans = find_plans(library, graph, target, {.precompiled = true}, 1);
    if (plans.empty()) {
      std::printf("| %s | no plan | |\n", shape_of(problem).c_str());
      continue;
    }
    const bool is_one = is_hopper(plans.front().choice);
    hopper += is_one ? 1 : 0;
    std::printf("| %s | %s%s | %lld |\n", shape_of(problem).c_str(), to_text(plans.front().choice).c_str(),
                is_one ? " (sm_90)" : "", static_cast<long long>(plans.front().workspace_bytes));
  }
  std::printf("\n%zu data gradients: %d Hopper kernels\n", seen.size(), hopper);
}

void list(const std::string& shapes, const std::string& card, int batch) {
  std::string reason;
  const CudnnLibrary* library = real_cudnn(&reason);
  if (library == nullptr) throw Error(ErrorCode::kDevice, "no cuDNN\n" + reason);
  const Descriptor device = make_device(*library, card_json(card));
  const std::vector<ConvolutionProblem> problems = read_network_shapes(shapes, batch).convolutions;
  std::printf("cuDNN %zu, %s, batch %d: all parts joined by the heuristics, then the rule\n\n", library->version,
              card.c_str(), batch);
  list_convolutions(*library, device, problems);
  list_data_gradients(*library, device, problems);
}

int number(const char* text) {
  int value = 0;
  const std::string whole = text;
  const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), value);
  if (error != std::errc() || end != whole.data() + whole.size() || value < 1) {
    throw Error(ErrorCode::kArgument, "no batch size: " + whole);
  }
  return value;
}

}  // namespace
}  // namespace dpm::cuda

int main(int count, char** arguments) {
  try {
    if (count < 3) throw dpm::Error(dpm::ErrorCode::kArgument, "usage: dpm_list_plans SHAPES CARD [BATCH]");
    dpm::cuda::list(arguments[1], arguments[2], count > 3 ? dpm::cuda::number(arguments[3]) : 1);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
