#include "operation_checks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "evaluate_derivative.h"
#include "known_cases.h"

namespace dpm::test {
namespace {

/// Options for opening a device, and the largest differences allowed with them, relative to the largest value.
struct Mode {
  const char* name;
  DType dtype;
  bool exact;
  double of_values;
  double of_derivatives;
  bool is_oracle = false;
};

constexpr Mode kFastCpu = {"f32", DType::kFloat32, false, 5e-5, 2e-4};
constexpr Mode kExactCpu = {"exact", DType::kFloat32, true, 2e-5, 1e-4};
constexpr Mode kBfloat16Cpu = {"bf16", DType::kBFloat16, false, 3e-2, 1e-1};
constexpr Mode kCard[] = {{"f32", DType::kFloat32, false, 2e-5, 1e-4},
                          {"f16", DType::kFloat16, false, 5e-3, 1e-2},
                          {"bf16", DType::kBFloat16, false, 3e-2, 6e-2}};

std::vector<Mode> modes_of(const CheckedDevice& device) {
  if (device.name == "reference") return {{"double", DType::kFloat32, false, 1e-6, 1e-6, true}};
  if (device.name != "cpu") return {std::begin(kCard), std::end(kCard)};
  if (has_bf16(device.isa)) return {kFastCpu, kExactCpu, kBfloat16Cpu};
  return {kFastCpu, kExactCpu};
}

/// Opens a device; `threads` are those of the CPU, which other devices ignore.
std::shared_ptr<Device> open(const CheckedDevice& device, const Mode& mode, int threads) {
  return Device::open(device.name, {threads, mode.exact, mode.dtype});
}

/// Returns whether a case is fused: both ways in the default mode, one of them in turn in the others. The reference
/// device's numbers are those of the graph as it was written.
std::vector<bool> fusions(const Mode& mode, int index) {
  if (mode.is_oracle) return {true};
  if (mode.dtype == DType::kFloat32 && !mode.exact) return {false, true};
  return {index / 2 % 2 == 0};
}

double looseness(const Mode& mode, const Case& made) { return mode.dtype == DType::kFloat32 ? 1 : made.looseness; }

/// Returns whether the device lacks an operation of gradients that the graph has; it has to refuse the graph then.
bool is_refused(const std::shared_ptr<Device>& device, const graph::Graph& graph, int batch) {
  if (computes_gradients(*device, graph)) return false;
  EXPECT_EQ(code_of([&] { const LoadedGraph loaded(device, graph, batch, true); }), ErrorCode::kUnsupported);
  return true;
}

/// Returns whether a case is one of the first of a family, which cover all its kinds.
bool is_one_of_the_first(const KnownCase& known) { return known.index < 12; }

bool sums_rows(const graph::Graph& graph) {
  return std::ranges::any_of(graph.values, [](const graph::Value& value) { return value.varies == DPM_VARIES_SHARED; });
}

std::uint64_t products_of(const Case& made) {
  std::uint64_t products = 0;
  for (const graph::Node& node : made.graph.nodes) products += graph::multiply_adds(made.graph, node);
  return products * static_cast<std::uint64_t>(made.batch);
}

/// Returns whether a mode computes derivatives: all do, except that the 16-bit types take turns.
bool is_derived(const CheckedDevice& device, const Mode& mode, int index) {
  return device.name != "cuda:0" || mode.dtype == DType::kFloat32 ||
         (mode.dtype == DType::kFloat16) == (index % 2 == 0);
}

/// The devices for the cases of a check, each opened once, because opening a GPU takes time.
class OpenDevices {
 public:
  explicit OpenDevices(const CheckedDevice& device) : device_(device) {
    if (!device.isa.empty()) isa_.emplace("DPM_CPU_ISA", device.isa);
  }

  /// Returns a device with another number of threads, or with other products of the emulation, in turn, in an order
  /// that is independent of the differences between cases.
  std::shared_ptr<Device> get(const Mode& mode, int index) {
    constexpr const char* kProducts[] = {"all", "bare", "none"};
    const int turn = device_.name == "cpu" || device_.is_emulated ? (index + index / 3) % 3 : 0;
    // The variable is also read when a graph is loaded.
    products_.emplace("DPM_EMULATED_PRODUCTS", kProducts[turn]);
    std::shared_ptr<Device>& opened = opened_[mode.name + std::to_string(turn)];
    if (opened == nullptr) opened = open(device_, mode, 1 + turn);
    return opened;
  }

 private:
  const CheckedDevice& device_;
  std::optional<ScopedEnvironment> isa_;
  std::optional<ScopedEnvironment> products_;
  std::map<std::string, std::shared_ptr<Device>> opened_;
};

/// Calls `body(known, mode, opened)` for the cases that the device is fast enough for, in every mode.
template <typename Body>
void for_cases(const Operation& operation, const CheckedDevice& device, const Body& body) {
  OpenDevices devices(device);
  for (const KnownCase& known : known_cases(operation)) {
    if (known.index >= device.cases || products_of(known.made) > device.most_products) continue;
    for (const Mode& mode : modes_of(device)) {
      SCOPED_TRACE(known.name + ", " + mode.name);
      body(known, mode, devices.get(mode, known.index));
    }
  }
}

/// Compares <J^T v, u> and <v, J u>, relative to the sizes of v and J u. A J u of elements below 1 counts as one of
/// ones.
void expect_transposed(const KnownDerivative& pullback, const std::vector<float>& pulled,
                       const KnownDerivative& pushforward, const std::vector<float>& pushed, double tolerance) {
  const std::vector<float>& v = pullback.inputs.given.at(DPM_BINDING_OUTPUT_COTANGENT);
  const std::vector<float>& u = pushforward.inputs.given.at(DPM_BINDING_IMAGE_TANGENT);
  const double size = std::sqrt(product(v, v) * std::max(product(pushed, pushed), static_cast<double>(pushed.size())));
  EXPECT_NEAR(product(pulled, u), product(v, pushed), tolerance * size);
}

/// Returns the root of the sum without the largest thousandth of the numbers, which may lie at the bend of an
/// activation.
double root_of_sum(std::vector<double> squares) {
  std::ranges::sort(squares);
  squares.resize(squares.size() - squares.size() / 1000);
  return std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
}

/// Compares J u with differences of the outputs.
void expect_differences(const KnownCase& known, const KnownDerivative& pushforward,
                        const std::shared_ptr<Device>& device) {
  constexpr float kStep = 3e-4F;
  const std::vector<float>& u = pushforward.inputs.given.at(DPM_BINDING_IMAGE_TANGENT);
  const auto moved = [&](float step) {
    GraphInputs inputs = known.made.inputs;
    for (std::size_t i = 0; i < u.size(); ++i) inputs.image[i] += step * u[i];
    return run_graph(device, known.made.graph, known.made.batch, inputs, false);
  };
  const std::vector<float> after = moved(kStep);
  const std::vector<float> before = moved(-kStep);
  const std::vector<float>& derived = pushforward.expected;
  std::vector<double> errors;
  for (std::size_t i = 0; i < derived.size(); ++i) {
    const double change = static_cast<double>(after[i]) - static_cast<double>(before[i]);
    errors.push_back(std::pow(change / (2 * static_cast<double>(kStep)) - static_cast<double>(derived[i]), 2));
  }
  // The second term is for the rounding of the outputs to float32.
  const double most = 5e-3 * std::sqrt(product(derived, derived)) + 3e-4 * std::sqrt(product(after, after));
  EXPECT_LT(root_of_sum(std::move(errors)), most);
}

/// Returns three samples for the graph of a case, and the second of them alone.
std::pair<GraphInputs, GraphInputs> three_and_one(const Case& made, int index) {
  RandomValues random(static_cast<std::uint32_t>(index));
  GraphInputs all;
  GraphInputs one;
  const std::size_t elements = made.inputs.image.size() / static_cast<std::size_t>(made.batch);
  all.image = random.normals(3 * elements);
  const auto second = all.image.begin() + static_cast<std::ptrdiff_t>(elements);
  one.image.assign(second, second + static_cast<std::ptrdiff_t>(elements));
  if (!made.inputs.time.empty()) all.time = {3, 700.25F, 40};
  if (!made.inputs.labels.empty()) all.labels = {0, 2, -1};
  if (!all.time.empty()) one.time = {all.time[1]};
  if (!all.labels.empty()) one.labels = {all.labels[1]};
  return {all, one};
}

}  // namespace

void check_values(const Operation& operation, const CheckedDevice& device) {
  for_cases(operation, device, [](const KnownCase& known, const Mode& mode, const std::shared_ptr<Device>& opened) {
    if (is_refused(opened, known.made.graph, known.made.batch)) return;
    for (const bool fused : fusions(mode, known.index)) {
      const std::vector<float> found = run_graph(opened, known.made.graph, known.made.batch, known.made.inputs, fused);
      EXPECT_LT(relative_difference(found, known.expected), mode.of_values * looseness(mode, known.made))
          << "fused " << fused;
    }
  });
}

void check_derivatives(const Operation& operation, const CheckedDevice& device) {
  for_cases(operation, device, [&](const KnownCase& known, const Mode& mode, const std::shared_ptr<Device>& opened) {
    if (!is_derived(device, mode, known.index)) return;
    const double tolerance = mode.of_derivatives * looseness(mode, known.made);
    const auto found = [&](const std::optional<KnownDerivative>& derivative) {
      if (!derivative || is_refused(opened, derivative->graph, known.made.batch)) return std::vector<float>();
      std::vector<float> result = evaluated(opened, *derivative, known.made.batch);
      EXPECT_LT(relative_difference(result, derivative->expected), tolerance) << derivative->result;
      return result;
    };
    const std::vector<float> pulled = found(known.pullback);
    const std::vector<float> pushed = found(known.pushforward);
    if (!pulled.empty() && !pushed.empty())
      expect_transposed(*known.pullback, pulled, *known.pushforward, pushed, tolerance);
    if (known.pushforward && mode.is_oracle && is_one_of_the_first(known))
      expect_differences(known, *known.pushforward, opened);
  });
}

void check_independence(const Operation& operation, const CheckedDevice& device) {
  for_cases(operation, device, [&](const KnownCase& known, const Mode& mode, const std::shared_ptr<Device>& opened) {
    if (!is_one_of_the_first(known) || is_refused(opened, known.made.graph, 1)) return;
    const auto [three, one] = three_and_one(known.made, known.index);
    const auto whole = run_graph(open(device, mode, 3), known.made.graph, 3, three, true);
    if (sums_rows(known.made.graph)) {
      EXPECT_EQ(run_graph(open(device, mode, 1), known.made.graph, 3, three, true), whole);
      return;
    }
    const auto alone = run_graph(open(device, mode, 1), known.made.graph, 1, one, true);
    ASSERT_EQ(whole.size(), 3 * alone.size());
    const auto second = whole.begin() + static_cast<std::ptrdiff_t>(alone.size());
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), second));
  });
}

}  // namespace dpm::test
