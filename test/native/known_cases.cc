#include "known_cases.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <utility>

#include "evaluate_derivative.h"
#include "graph/passes/derivatives.h"

namespace dpm::test {
namespace {

/// Returns the deviation of an image, which makes tangents as large as the numbers that they change.
float deviation(const std::vector<float>& image) {
  constexpr std::size_t kFew = 8;
  if (image.size() < kFew) return 1;
  double mean = 0;
  for (const float value : image) mean += static_cast<double>(value) / static_cast<double>(image.size());
  const double square = product(image, image) / static_cast<double>(image.size());
  return static_cast<float>(std::sqrt(square - mean * mean));
}

/// Returns the graph that `pass` makes of a case's; empty where it is refused, which has to be by `refusal`.
template <typename Pass>
std::optional<graph::Graph> derived(const KnownCase& known, const std::string& refusal, const Pass& pass) {
  graph::Graph graph = known.made.graph;
  try {
    pass(graph);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << known.name;
    EXPECT_EQ(error.what(), refusal) << known.name;
    return std::nullopt;
  }
  EXPECT_EQ(refusal, "") << known.name << " was not refused";
  return graph;
}

void derive(KnownCase& known, const std::shared_ptr<Device>& reference) {
  const Case& made = known.made;
  if (made.inputs.image.empty()) return;
  const auto with = [&](std::optional<graph::Graph> graph, const char* input, const char* result, std::size_t count,
                        std::uint32_t seed, float scale) -> std::optional<KnownDerivative> {
    if (!graph) return std::nullopt;
    KnownDerivative derivative{std::move(*graph), result, made.inputs, {}};
    derivative.inputs.given[input] = RandomValues(seed).normals(count, scale);
    derivative.expected = evaluated(reference, derivative, made.batch);
    return derivative;
  };
  known.pullback = with(derived(known, made.no_pullback, [](graph::Graph& graph) { graph::differentiate(graph); }),
                        DPM_BINDING_OUTPUT_COTANGENT, DPM_BINDING_IMAGE_COTANGENT, known.expected.size(), 7, 1);
  known.pushforward = with(derived(known, made.no_pushforward, graph::linearise), DPM_BINDING_IMAGE_TANGENT,
                           DPM_BINDING_OUTPUT_TANGENT, made.inputs.image.size(), 8, deviation(made.inputs.image));
}

std::vector<KnownCase> cases_of(const Operation& operation) {
  const auto reference = Device::open("reference", {});
  std::vector<KnownCase> cases;
  for (const CaseFamily& family : operation.families) {
    if (family.is_for_speed) continue;
    for (int index = 0; index < family.cases; ++index) {
      KnownCase known{family.name + (" " + std::to_string(index)), index, make_case(family, index), {}, {}, {}};
      known.expected = run_graph(reference, known.made.graph, known.made.batch, known.made.inputs, false);
      derive(known, reference);
      cases.push_back(std::move(known));
    }
  }
  return cases;
}

}  // namespace

std::vector<float> evaluated(const std::shared_ptr<Device>& device, const KnownDerivative& derivative, int batch) {
  LoadedGraph loaded(device, derivative.graph, batch, true);
  loaded.bind(derivative.inputs, batch);
  loaded.run();
  return loaded.output(derivative.result);
}

const std::vector<KnownCase>& known_cases(const Operation& operation) {
  static std::map<std::string, std::vector<KnownCase>> known;
  const auto found = known.find(operation.name);
  return found != known.end() ? found->second : known.emplace(operation.name, cases_of(operation)).first->second;
}

}  // namespace dpm::test
