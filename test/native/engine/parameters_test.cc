// Test of the parameters of a training run: their places, the optimiser, and networks that are packed from them again.
#include "engine/parameters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "core/error.h"
#include "evaluate_derivative.h"
#include "evaluate_network.h"
#include "graph/passes/derivatives.h"
#include "graph_runner.h"
#include "scoped_environment.h"
#include "small_network.h"

namespace dpm::test {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

void upload(Device& device, const dpm_view& view, const std::vector<float>& values) {
  dpm_message message{};
  ASSERT_EQ(
      device.api().state.upload(device.get(), view.buffer, 0, values.data(), values.size() * sizeof(float), &message),
      DPM_OK)
      << message.text;
}

std::vector<float> read(const Parameters& parameters, ParameterTensor which) {
  std::vector<float> values(parameters.elements());
  parameters.read(which, values.data());
  return values;
}

/// Calls `check` with every device that trains, under every instruction set.
template <typename Check>
void for_devices(const Check& check) {
  check(Device::open("reference", {}), "reference");
  check(Device::open("cuda", {}), "cuda");
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    for (const bool exact : {true, false}) check(Device::open("cpu", {2, exact}), isa + (exact ? ", exact" : ""));
  }
}

TEST(Parameters, LieInTheOrderOfTheirNamesOnLinesOfTheirOwn) {
  const SmallNetwork small;
  const auto device = Device::open("cpu", {1, true});
  const std::vector<int> learned = graph::differentiable_constants(small.graph());
  const Parameters parameters(device, small.graph(), learned);
  ASSERT_EQ(parameters.places().all().size(), learned.size());
  const std::vector<float> values = read(parameters, ParameterTensor::kParameters);
  EXPECT_EQ(read(parameters, ParameterTensor::kAverage), values);
  std::string before;
  std::uint64_t end = 0;
  for (const GradientPlace& place : parameters.places().all()) {
    const graph::Constant& constant = small.graph().constants[at(place.constant)];
    EXPECT_LT(before, constant.name);
    EXPECT_GE(place.offset, end);
    EXPECT_EQ(place.offset % 16, 0U);
    const auto* expected = static_cast<const float*>(constant.data);
    for (std::uint64_t i = 0; i < place.elements; ++i) ASSERT_EQ(values[place.offset + i], expected[i]);
    before = constant.name;
    end = place.offset + place.elements;
  }
  for (const ParameterTensor moments : {ParameterTensor::kFirstMoments, ParameterTensor::kSecondMoments}) {
    EXPECT_EQ(read(parameters, moments), std::vector<float>(parameters.elements(), 0.0F));
  }
}

/// The numbers of one parameter, in double.
struct Recurrence {
  double p, m, v, average;
};

void take_step(Recurrence& of, const AdamOptions& options, const AdamStep& step, double gradient) {
  const double g = step.gradient_scale * gradient;
  of.p *= 1 - step.rate * options.decay;
  of.m = options.beta1 * of.m + (1 - options.beta1) * g;
  of.v = options.beta2 * of.v + (1 - options.beta2) * g * g;
  const auto k = static_cast<double>(step.step);
  const double root = std::sqrt(of.v) / std::sqrt(1 - std::pow(options.beta2, k)) + options.epsilon;
  of.p -= step.rate / (1 - std::pow(options.beta1, k)) * of.m / root;
  of.average = step.average_decay * of.average + (1 - step.average_decay) * of.p;
}

TEST(Optimiser, IsAdamsRecurrenceAndClearsTheGradients) {
  const SmallNetwork small;
  for_devices([&](const std::shared_ptr<Device>& device, const std::string& name) {
    Parameters parameters(device, small.graph(), graph::differentiable_constants(small.graph()));
    std::vector<Recurrence> expected;
    for (const float value : read(parameters, ParameterTensor::kParameters)) {
      expected.push_back({static_cast<double>(value), 0, 0, static_cast<double>(value)});
    }
    RandomValues random(8);
    const AdamOptions options{.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-6, .decay = 0.1};
    for (std::uint64_t k = 1; k <= 6; ++k) {
      const std::vector<float> gradients = random.normals(parameters.elements(), 0.1F);
      const AdamStep step{k, k == 1 ? 0 : 0.01, 0.25, k == 1 ? 0 : 0.9};
      upload(*device, parameters.gradients(), gradients);
      double squares = 0;
      for (const float gradient : gradients) squares += std::pow(static_cast<double>(gradient), 2);
      EXPECT_NEAR(parameters.gradient_norm(), std::sqrt(squares), 1e-9 * std::sqrt(squares)) << name;
      parameters.step(options, step);
      EXPECT_EQ(parameters.gradient_norm(), 0) << name;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        take_step(expected[i], options, step, static_cast<double>(gradients[i]));
      }
    }
    const std::vector<float> values = read(parameters, ParameterTensor::kParameters);
    const std::vector<float> first = read(parameters, ParameterTensor::kFirstMoments);
    const std::vector<float> second = read(parameters, ParameterTensor::kSecondMoments);
    const std::vector<float> average = read(parameters, ParameterTensor::kAverage);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(static_cast<double>(values[i]), expected[i].p, 1e-6 * (1 + std::fabs(expected[i].p))) << name;
      ASSERT_NEAR(static_cast<double>(average[i]), expected[i].average, 1e-6 * (1 + std::fabs(expected[i].p))) << name;
      ASSERT_NEAR(static_cast<double>(first[i]), expected[i].m, 1e-7) << name;
      ASSERT_NEAR(static_cast<double>(second[i]), expected[i].v, 1e-8) << name;
    }
  });
}

TEST(Optimiser, KeepsTheAverageOfAConstant) {
  const SmallNetwork small;
  for_devices([&](const std::shared_ptr<Device>& device, const std::string& name) {
    Parameters parameters(device, small.graph(), graph::differentiable_constants(small.graph()));
    const std::vector<float> values = read(parameters, ParameterTensor::kParameters);
    const std::vector<float> zeros(values.size(), 0.0F);
    parameters.write(ParameterTensor::kAverage, zeros.data());
    constexpr double kDecay = 0.9;
    for (std::uint64_t k = 1; k <= 5; ++k) parameters.step({}, {k, 0.1, 1, kDecay});
    EXPECT_EQ(read(parameters, ParameterTensor::kParameters), values) << name;
    const std::vector<float> average = read(parameters, ParameterTensor::kAverage);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double expected = (1 - std::pow(kDecay, 5)) * static_cast<double>(values[i]);
      ASSERT_NEAR(static_cast<double>(average[i]), expected, 1e-6 * (1 + std::fabs(expected))) << name;
    }
  });
}

TEST(Optimiser, DoesNotDependOnTheNumberOfThreads) {
  const SmallNetwork small;
  std::vector<float> expected;
  for (const int threads : {1, 2, 3, 7}) {
    const auto device = Device::open("cpu", {threads, false});
    Parameters parameters(device, small.graph(), graph::differentiable_constants(small.graph()));
    upload(*device, parameters.gradients(), RandomValues(3).normals(parameters.elements()));
    parameters.step({}, {1, 0.1, 1, 0.5});
    const std::vector<float> values = read(parameters, ParameterTensor::kParameters);
    if (expected.empty()) expected = values;
    EXPECT_EQ(values, expected) << threads;
  }
}

/// A network whose convolutions are wide enough for every algorithm, with a table of positions.
class WideNetwork {
 public:
  /// Bytes of the kernels of 64 channels from 64.
  static constexpr std::uint64_t kLargestKernelBytes = std::uint64_t{9} * 64 * 64 * sizeof(float);

  explicit WideNetwork(std::uint32_t seed) : random_(seed) {
    constexpr int kSide = 16;
    int x = maker_.bias(maker_.convolution(maker_.image(3, kSide, kSide), 64, same_size(3)));
    graph::Node position = graph::make_node(DPM_OP_POSITION, "position", {x});
    position.biases = {maker_.constant({64, kSide * kSide})};
    x = maker_.silu(maker_.add(std::move(position)));
    x = maker_.bias(maker_.convolution(x, 64, same_size(3)));
    x = maker_.silu(maker_.convolution(x, 40, {.kernel = 3, .stride = 2, .pad_before = 1, .pad_after = 1}));
    maker_.output(maker_.convolution(x, 3, same_size(1)));
  }
  [[nodiscard]] const graph::Graph& graph() const { return maker_.graph(); }

 private:
  RandomValues random_;
  GraphMaker maker_{random_};
};

/// Outputs, and what a pullback makes of cotangents.
std::vector<float> results_of(Network& network) {
  if (network.derivative() == Derivative::kNone) return evaluate_twice(network, 3);
  DerivativeResult result = derive_twice(network, 3);
  result.outputs.insert(result.outputs.end(), result.derived.begin(), result.derived.end());
  return result.outputs;
}

/// Checks that a network of `first` whose parameters become those of `second` is a network of `second`.
void expect_packed_again(const std::shared_ptr<Device>& device, const graph::Graph& first, const graph::Graph& second,
                         NetworkOptions options, const std::string& name) {
  const std::vector<int> learned = graph::differentiable_constants(first);
  Parameters parameters(device, first, learned);
  const std::vector<float> values = read(Parameters(device, second, learned), ParameterTensor::kParameters);
  graph::Graph claimed = first;
  parameters.claim(claimed);
  for (const Derivative derivative : {Derivative::kNone, Derivative::kPullback}) {
    options.derivative = derivative;
    Network expected_before(device, first, options);
    Network expected_after(device, second, options);
    const std::vector<float> before = results_of(expected_before);
    Network network(device, claimed, options);
    parameters.pack(network);
    EXPECT_EQ(results_of(network), before) << name;
    const std::vector<float> kept = read(parameters, ParameterTensor::kParameters);
    parameters.write(ParameterTensor::kParameters, values.data());
    parameters.pack(network);
    EXPECT_EQ(results_of(network), results_of(expected_after)) << name;
    EXPECT_EQ(results_of(expected_before), before) << name << ": weights outside of the run moved";
    parameters.write(ParameterTensor::kParameters, kept.data());
  }
}

/// Returns the graph with other weights.
graph::Graph with_other_weights(graph::Graph graph, RandomValues& random) {
  for (graph::Constant& constant : graph.constants) {
    constant.data = random.constant(constant.dims, 0.5F).data;
    constant.identity = graph::new_identity();
  }
  return graph;
}

TEST(MovingWeights, ArePackedAsThoseThatAreLoaded) {
  const SmallNetwork small;
  RandomValues random(31);
  const graph::Graph other = with_other_weights(small.graph(), random);
  const WideNetwork wide(1);
  const WideNetwork wide_other(2);
  for_devices([&](const std::shared_ptr<Device>& device, const std::string& name) {
    expect_packed_again(device, small.graph(), other, SmallNetwork::options(), name);
    expect_packed_again(device, wide.graph(), wide_other.graph(), {}, name);
  });
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    DeviceOptions options{2, false};
    options.dtype = DType::kBFloat16;
    std::shared_ptr<Device> device;
    try {
      device = Device::open("cpu", options);
    } catch (const Error&) {
      continue;
    }
    expect_packed_again(device, wide.graph(), wide_other.graph(), {}, isa + ", bf16");
  }
}

TEST(MovingWeights, ArePackedAsThoseThatAreLoadedInSixteenBitsOfACard) {
  const SmallNetwork small;
  RandomValues random(31);
  const graph::Graph other = with_other_weights(small.graph(), random);
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    DeviceOptions options;
    options.dtype = dtype;
    expect_packed_again(Device::open("cuda", options), small.graph(), other, SmallNetwork::options(), "cuda");
  }
}

/// Checks that networks of a run, and no others, have the run's weights: `stages` tells whether their kernels are
/// packed when an evaluation comes to them, so that each has memory for the largest one alone.
void expect_shared(const std::shared_ptr<Device>& device, bool stages) {
  const WideNetwork wide(1);
  const WideNetwork other(2);
  const std::vector<int> learned = graph::differentiable_constants(wide.graph());
  Parameters parameters(device, wide.graph(), learned);
  graph::Graph claimed = wide.graph();
  parameters.claim(claimed);
  const Network outside(device, wide.graph(), {});
  Network first(device, claimed, {});
  Network second(device, claimed, {});
  if (stages) {
    EXPECT_LT(first.info().weight_bytes, outside.info().weight_bytes);
    EXPECT_EQ(second.info().weight_bytes, WideNetwork::kLargestKernelBytes);
  } else {
    EXPECT_EQ(first.info().weight_bytes, outside.info().weight_bytes);
    EXPECT_EQ(second.info().weight_bytes, 0U);
  }
  const std::vector<float> values = read(Parameters(device, other.graph(), learned), ParameterTensor::kParameters);
  parameters.write(ParameterTensor::kParameters, values.data());
  parameters.pack(first);
  parameters.pack(second);
  Network expected(device, other.graph(), {});
  EXPECT_EQ(results_of(first), results_of(expected));
  EXPECT_EQ(results_of(second), results_of(expected));
}

TEST(MovingWeights, AreSharedByTheNetworksOfARunAndNoOthers) {
  expect_shared(Device::open("cpu", {1, true}), true);
  expect_shared(Device::open("cuda", {}), false);
}

TEST(MovingWeights, ArePackedByWhicheverOfTheirNetworksComesFirst) {
  const WideNetwork wides[] = {WideNetwork(1), WideNetwork(2)};
  const auto device = Device::open("cuda", {});
  const std::vector<int> learned = graph::differentiable_constants(wides[0].graph());
  Parameters parameters(device, wides[0].graph(), learned);
  graph::Graph claimed = wides[0].graph();
  parameters.claim(claimed);
  Network first(device, claimed, {});
  Network second(device, claimed, {});
  // Often enough for the packing to be captured in the first order.
  constexpr int kRounds = 4;
  for (int round = 0; round < 2 * kRounds; ++round) {
    const graph::Graph& now = wides[round % 2].graph();
    parameters.write(ParameterTensor::kParameters,
                     read(Parameters(device, now, learned), ParameterTensor::kParameters).data());
    Network* const order[] = {round < kRounds ? &first : &second, round < kRounds ? &second : &first};
    Network expected(device, now, {});
    const std::vector<float> results = results_of(expected);
    for (Network* network : order) {
      parameters.pack(*network);
      EXPECT_EQ(results_of(*network), results) << round;
    }
  }
  // Parameters in another place, of a later version.
  Parameters others(device, wides[0].graph(), learned);
  const std::vector<float> values = read(others, ParameterTensor::kParameters);
  for (int i = 0; i < 4 * kRounds; ++i) others.write(ParameterTensor::kParameters, values.data());
  others.pack(first);
  Network expected(device, wides[0].graph(), {});
  EXPECT_EQ(results_of(first), results_of(expected));
}

TEST(MovingWeights, AreFollowedByWhatLaterEvaluationsHaveMadeOfThem) {
  const WideNetwork wides[] = {WideNetwork(1), WideNetwork(2)};
  NetworkOptions options;
  options.derivative = Derivative::kPullback;
  for (const char* products : {"bare", "all", "none"}) {
    const ScopedEnvironment emulated("DPM_EMULATED_PRODUCTS", products);
    const auto device = Device::open("cuda", {});
    const std::vector<int> learned = graph::differentiable_constants(wides[0].graph());
    Parameters parameters(device, wides[0].graph(), learned);
    graph::Graph claimed = wides[0].graph();
    parameters.claim(claimed);
    Network network(device, claimed, options);
    // The packing is captured before anything has been evaluated.
    const std::vector<float> values = read(parameters, ParameterTensor::kParameters);
    for (int i = 0; i < 3; ++i) {
      parameters.write(ParameterTensor::kParameters, values.data());
      parameters.pack(network);
    }
    results_of(network);
    parameters.write(ParameterTensor::kParameters,
                     read(Parameters(device, wides[1].graph(), learned), ParameterTensor::kParameters).data());
    parameters.pack(network);
    Network expected(device, wides[1].graph(), options);
    EXPECT_EQ(results_of(network), results_of(expected)) << products;
  }
}

TEST(MovingWeights, ArePackedBeforeAnEvaluation) {
  const WideNetwork wide(1);
  const auto device = Device::open("cpu", {1, true});
  const Parameters parameters(device, wide.graph(), graph::differentiable_constants(wide.graph()));
  graph::Graph claimed = wide.graph();
  parameters.claim(claimed);
  Network network(device, claimed, {});
  EXPECT_EQ(code_of([&] { (void)results_of(network); }), ErrorCode::kArgument);
  parameters.pack(network);
  EXPECT_NO_THROW((void)results_of(network));
}

}  // namespace
}  // namespace dpm::test
