// Test of gradients of weights: of random graphs against differences, and of what is wanted and refused.
#include "graph/passes/weight_gradients.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "evaluate_derivative.h"
#include "graph/passes/derivatives.h"
#include "graph/passes/fusion.h"
#include "graph/planner.h"
#include "graph/validate.h"
#include "graph_maker.h"
#include "graph_runner.h"
#include "random_graph.h"
#include "small_network.h"
#include "small_transformer.h"

namespace dpm::test {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

RandomGraph graph_of(std::uint32_t seed) {
  const auto generator = std::make_shared<std::mt19937>(seed);
  return {[generator](int n) { return std::uniform_int_distribution<int>(0, n - 1)(*generator); },
          RandomGraph::kDifferentiable};
}

NetworkOptions with_gradients(NetworkOptions options, std::vector<int> constants = {}) {
  options.derivative = Derivative::kWeights;
  options.learned = std::move(constants);
  return options;
}

NetworkOptions of_three_classes() {
  NetworkOptions options;
  options.classes = 3;
  return options;
}

std::vector<float> elements_of(const graph::Constant& constant) {
  const auto* data = static_cast<const float*>(constant.data);
  return {data, data + constant.elements()};
}

/// Returns the message of the Error(code) that `body` throws.
template <typename Body>
std::string refusal(ErrorCode code, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code() == code ? error.what() : std::string(error_code_name(error.code())) + error.what();
  }
  return "nothing";
}

/// Loss of the test: the sum of cotangent times output.
class Loss {
 public:
  Loss(const graph::Graph& graph, const NetworkOptions& options, int batch)
      : graph_(graph), options_(options), batch_(batch), device_(Device::open("reference", {})) {
    Network network(device_, graph_, with_gradients(options_));
    result_ = gradients_of(network, batch_);
  }

  [[nodiscard]] const GradientsResult& result() const { return result_; }

  /// Returns the difference quotient of the loss along `direction` of a constant, of the sixth order, and its error by
  /// rounding: weights and outputs are float32, so that small steps are inexact.
  [[nodiscard]] std::pair<double, double> slope(int constant, const std::vector<float>& direction, float step) const {
    constexpr double kFactors[] = {3.0 / 4, -3.0 / 20, 1.0 / 60};
    double sum = 0;
    for (int k = 1; k <= 3; ++k) {
      const float far = static_cast<float>(k) * step;
      sum += kFactors[k - 1] * (at_step(constant, direction, far) - at_step(constant, direction, -far));
    }
    const double size =
        std::sqrt(product(result_.outputs, result_.outputs) * product(result_.cotangents, result_.cotangents));
    return {sum / static_cast<double>(step), 1e-7 * size / static_cast<double>(step)};
  }

 private:
  [[nodiscard]] double at_step(int constant, const std::vector<float>& direction, float step) const {
    graph::Graph moved = graph_;
    std::vector<float> values = elements_of(moved.constants[at(constant)]);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += step * direction[i];
    moved.constants[at(constant)].data = values.data();
    Network network(device_, moved, with_gradients(options_, {constant}));
    return product(gradients_of(network, batch_).outputs, result_.cotangents);
  }

  graph::Graph graph_;
  NetworkOptions options_;
  int batch_;
  std::shared_ptr<Device> device_;
  GradientsResult result_;
};

/// Compares the gradients of all constants of a network with differences.
void expect_differences(const graph::Graph& graph, const NetworkOptions& options, int batch) {
  const Loss loss(graph, options, batch);
  for (const auto& [constant, gradient] : loss.result().of_constants) {
    const std::vector<float> values = elements_of(graph.constants[at(constant)]);
    const double mean_square = product(values, values) / static_cast<double>(values.size());
    const auto scale = static_cast<float>(std::max(std::sqrt(mean_square), 0.01));
    const auto direction = RandomValues(static_cast<std::uint32_t>(constant)).normals(values.size(), scale);
    constexpr float kStep = 0x1p-6F;
    const auto [slope, rounding] = loss.slope(constant, direction, kStep);
    const double size = std::sqrt(product(gradient, gradient) * product(direction, direction));
    EXPECT_NEAR(slope, product(gradient, direction), 2e-5 * size + rounding)
        << graph.constants[at(constant)].name << " of " << size;
  }
}

std::uint64_t products_of(const graph::Graph& graph) {
  std::uint64_t products = 0;
  for (const graph::Node& node : graph.nodes) products += graph::multiply_adds(graph, node);
  return products;
}

/// Returns whether gradients of all constants of a graph are computed; a scale and shift without a norm has none.
bool has_gradients(const RandomGraph& made, const std::shared_ptr<Device>& reference) {
  return code_of([&] { const Network probe(reference, made.graph(), with_gradients(made.options())); }) ==
         ErrorCode::kOk;
}

TEST(WeightGradients, OfRandomGraphsAreThoseOfDifferences) {
  const auto reference = Device::open("reference", {});
  constexpr std::uint64_t kMostProducts = 3'000'000;
  int count = 0;
  std::set<dpm_op> covered;
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    const RandomGraph made = graph_of(seed);
    // What is not smooth has no differences.
    const bool bends = std::ranges::any_of(made.graph().nodes, [](const graph::Node& node) {
      return node.op == DPM_OP_ACTIVATION && graph::attributes<graph::Activation>(node).kind == DPM_ACTIVATION_RELU;
    });
    if (bends || products_of(made.graph()) > kMostProducts || !has_gradients(made, reference)) continue;
    SCOPED_TRACE(seed);
    expect_differences(made.graph(), made.options(), made.batch());
    graph::Graph derived = made.graph();
    graph::differentiate_training(derived, {graph::differentiable_constants(derived)});
    for (const graph::Node& node : derived.nodes) covered.insert(node.op);
    ++count;
  }
  EXPECT_GT(count, 25);
  for (const dpm_op op : {DPM_OP_CONVOLUTION_WEIGHTS, DPM_OP_ROW_SUM, DPM_OP_EMBEDDING_WEIGHTS})
    EXPECT_EQ(covered.count(op), 1U) << op;
}

TEST(WeightGradients, OfANetworkAreThoseOfDifferences) {
  expect_differences(SmallNetwork().graph(), SmallNetwork::options(), 4);
  expect_differences(SmallNetwork(SecondOutput::kHead).graph(), SmallNetwork::options(), 2);
  NetworkOptions divided = SmallNetwork::options();
  divided.divides_by_time = true;
  expect_differences(SmallNetwork(SecondOutput::kHead).graph(), divided, 3);
}

/// Makes a network with scale and shift from a time MLP and rows of labels, a strided convolution and a position.
graph::Graph modulated(RandomValues& random) {
  GraphMaker maker(random);
  const int x = maker.bias(maker.convolution(maker.image(3, 6, 6), 8, same_size(3)));
  const int sinusoid = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{8, 1.0F});
  const int hidden = maker.silu(maker.bias(maker.convolution(sinusoid, 12, {})));
  const int embedded = maker.silu(maker.sum(hidden, maker.row(maker.label(), 3, 12)));
  const int vector = maker.bias(maker.convolution(embedded, 16, {}));
  const int normed = maker.silu(maker.add(DPM_OP_SCALE_SHIFT, {maker.norm(x, 4, 1e-2F), vector}));
  const int small = maker.position(maker.convolution(normed, 8, {3, 2, 0, 1}));
  const int part = maker.add(DPM_OP_VIEW, {small}, graph::View{3, 4, 3, 3});
  const int both = maker.add(DPM_OP_CONCAT, {small, part});
  maker.output(maker.bias(maker.convolution(both, 2, same_size(3))));
  return maker.graph();
}

TEST(WeightGradients, OfScalesShiftsRowsAndRangesAreThoseOfDifferences) {
  RandomValues random(3);
  const graph::Graph graph = modulated(random);
  graph::Graph derived = graph;
  graph::differentiate_training(derived, {graph::differentiable_constants(graph)});
  EXPECT_TRUE(std::ranges::any_of(derived.nodes, [](const auto& node) { return node.op == DPM_OP_GROUP_NORM_VECTOR; }));
  expect_differences(graph, of_three_classes(), 4);
  expect_differences(graph, of_three_classes(), 1);
}

TEST(WeightGradients, OfTransformersAreThoseOfDifferences) {
  RandomValues random(5);
  const graph::Graph graph = small_transformer(random);
  expect_differences(graph, {4, false, {}}, 4);
  graph::Graph derived = graph;
  graph::differentiate_training(derived, {graph::differentiable_constants(graph)});
  const auto has_products = [](const graph::Node& node) {
    return node.op == DPM_OP_LAYER_NORM_BACKWARD && node.outputs.size() == 2;
  };
  EXPECT_EQ(std::ranges::count_if(derived.nodes, has_products), 5);
}

TEST(WeightGradients, OfAContextAreRefusedWhereThereIsNone) {
  RandomValues random(5);
  NetworkOptions options = with_gradients({4, false, {}});
  options.pulls_to_context = true;
  const auto load = [&] { const Network network(Device::open("reference", {}), small_transformer(random), options); };
  EXPECT_EQ(refusal(ErrorCode::kUnsupported, load), "no output of the network depends on its context");
}

TEST(WeightGradients, OfLayerNormsThatStayTakeNoProducts) {
  RandomValues random(5);
  const graph::Graph graph = small_transformer(random);
  graph::Graph derived = graph;
  const int first = graph.nodes.front().weights.front();
  graph::differentiate_training(derived, {{first}});
  int norms = 0;
  for (const graph::Node& node : derived.nodes) {
    if (node.op != DPM_OP_LAYER_NORM_BACKWARD) continue;
    ++norms;
    EXPECT_EQ(node.outputs.size(), 1U) << node.name;
  }
  EXPECT_EQ(norms, 5);
}

TEST(WeightGradients, OfRowsThatNoSampleHasAreZero) {
  RandomValues random(3);
  const graph::Graph graph = modulated(random);
  const Loss loss(graph, of_three_classes(), 2);
  const auto table = std::ranges::find_if(graph.nodes, [](const auto& node) { return node.op == DPM_OP_EMBEDDING; });
  const std::vector<float>& gradient = loss.result().of_constants.at(table->weights.front());
  const auto zeros = [&](std::ptrdiff_t row) {
    return std::count(gradient.begin() + 12 * row, gradient.begin() + 12 * (row + 1), 0.0F);
  };
  // Labels of the two samples are 0 and 1.
  EXPECT_EQ(zeros(0), 0);
  EXPECT_EQ(zeros(1), 0);
  EXPECT_EQ(zeros(2), 12);
}

TEST(WeightGradients, AreAddedToWhatIsThere) {
  const SmallNetwork small;
  const auto reference = Device::open("reference", {});
  Network network(reference, small.graph(), with_gradients(SmallNetwork::options()));
  const GradientsResult once = gradients_of(network, 2);
  const GradientsResult twice = gradients_of(network, 2, 2);
  ASSERT_EQ(once.of_constants.size(), small.graph().constants.size());
  for (const auto& [constant, gradient] : once.of_constants) {
    std::vector<float> sum = gradient;
    for (float& element : sum) element += element;
    EXPECT_LT(relative_difference(twice.of_constants.at(constant), sum), 1e-6);
    EXPECT_GT(product(gradient, gradient), 0) << small.graph().constants[at(constant)].name;
  }
}

TEST(WeightGradients, OfTheImageAreThoseOfAPullback) {
  const SmallNetwork small(SecondOutput::kHead);
  const auto reference = Device::open("reference", {});
  NetworkOptions options = SmallNetwork::options();
  options.derivative = Derivative::kPullback;
  Network pullback(reference, small.graph(), options);
  const std::vector<float> expected = derive_twice(pullback, 2).derived;
  options = with_gradients(SmallNetwork::options());
  options.pulls_to_image = true;
  for (const graph::Recompute recompute : {graph::Recompute::kNone, graph::Recompute::kBlocks}) {
    options.recompute = recompute;
    Network both(reference, small.graph(), options);
    EXPECT_EQ(gradients_of(both, 2).of_image, expected);
  }
}

TEST(WeightGradients, AreTheSameWhereValuesAreComputedAgain) {
  const SmallNetwork small;
  const auto reference = Device::open("reference", {});
  NetworkOptions options = with_gradients(SmallNetwork::options());
  Network kept(reference, small.graph(), options);
  for (const graph::Recompute recompute : {graph::Recompute::kNorms, graph::Recompute::kBlocks}) {
    options.recompute = recompute;
    Network again(reference, small.graph(), options);
    EXPECT_GT(again.info().nodes, kept.info().nodes);
    EXPECT_LT(again.info().row_bytes, kept.info().row_bytes);
    EXPECT_EQ(gradients_of(again, 3).of_constants, gradients_of(kept, 3).of_constants);
  }
}

TEST(WeightGradients, OfASquareLossAreThoseOfItsDerivative) {
  constexpr int kBatch = 3;
  const SmallNetwork small;
  const auto reference = Device::open("reference", {});
  NetworkOptions options = with_gradients(SmallNetwork::options());
  options.seed = graph::Seed::kSquare;
  Network network(reference, small.graph(), options);
  const GradientsResult result = gradients_of(network, kBatch);
  ASSERT_EQ(result.loss_weights.size(), std::size_t{kBatch});
  const std::size_t elements = result.outputs.size() / kBatch;
  for (std::size_t i = 0; i < result.outputs.size(); ++i) {
    const float expected = 2 * result.loss_weights[i / elements] * (result.outputs[i] - result.targets[i]);
    ASSERT_NEAR(result.cotangents[i], expected, 1e-5F * (1 + std::fabs(expected)));
  }
  // Along every constant the gradient is the difference quotient of the loss.
  const auto loss = [&](int constant, float step) {
    graph::Graph moved = small.graph();
    graph::Constant& changed = moved.constants[at(constant)];
    std::vector<float> weights = elements_of(changed);
    const std::vector<float>& direction = result.of_constants.at(constant);
    const auto length = static_cast<float>(std::sqrt(product(direction, direction)));
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] += step / length * direction[i];
    changed.data = weights.data();
    Network at_step(reference, std::move(moved), options);
    const GradientsResult values = gradients_of(at_step, kBatch);
    double sum = 0;
    for (std::size_t i = 0; i < values.outputs.size(); ++i) {
      const double difference = static_cast<double>(values.outputs[i]) - static_cast<double>(values.targets[i]);
      sum += static_cast<double>(values.loss_weights[i / elements]) * difference * difference;
    }
    return sum;
  };
  constexpr float kStep = 1e-2F;
  for (const auto& [constant, gradient] : result.of_constants) {
    const double length = std::sqrt(product(gradient, gradient));
    const double slope = (loss(constant, kStep) - loss(constant, -kStep)) / (2 * static_cast<double>(kStep));
    EXPECT_NEAR(slope, length, 1e-2 * length + 1e-3) << small.graph().constants[at(constant)].name;
  }
}

TEST(WeightGradients, OfASquareLossAreRefusedForSecondOutputsAndDividedOnes) {
  const auto reference = Device::open("reference", {});
  const SmallNetwork two(SecondOutput::kHead);
  NetworkOptions options = with_gradients(SmallNetwork::options());
  options.seed = graph::Seed::kSquare;
  EXPECT_NE(
      refusal(ErrorCode::kUnsupported, [&] { Network(reference, two.graph(), options); }).find("this network has two"),
      std::string::npos);
  const SmallNetwork one;
  options.divides_by_time = true;
  EXPECT_NE(refusal(ErrorCode::kUnsupported, [&] { Network(reference, one.graph(), options); }).find("divided"),
            std::string::npos);
}

TEST(WeightGradients, OfAWeightThatTwoNodesReadAreTheSum) {
  RandomValues random(2);
  GraphMaker maker(random);
  const int x = maker.convolution(maker.image(4, 5, 5), 4, same_size(3));
  graph::Node again = maker.graph().nodes.back();
  again.name = "again";
  again.inputs = {maker.silu(x)};
  maker.output(maker.affine(maker.add(std::move(again)), 1));
  expect_differences(maker.graph(), {}, 2);
}

TEST(WeightGradients, OfAValueThatTwoNodesReadAreTheSum) {
  RandomValues random(2);
  GraphMaker maker(random);
  const int x = maker.bias(maker.convolution(maker.image(4, 5, 5), 4, same_size(3)));
  maker.output(maker.affine(maker.sum(maker.silu(x), maker.convolution(x, 4, same_size(3))), 1));
  expect_differences(maker.graph(), {}, 2);
}

TEST(WeightGradients, OfSomeConstantsTakeNoOtherNodes) {
  const graph::Graph small = SmallNetwork().graph();
  const auto nodes_for = [&](std::vector<int> constants) {
    graph::Graph graph = small;
    graph::differentiate_training(graph, {std::move(constants)});
    return graph.nodes.size();
  };
  const int last = small.nodes.back().biases.front();
  const int first = small.nodes.front().weights.empty() ? 0 : small.nodes.front().weights.front();
  // The last bias has the cotangent, sums over pixels and rows, beside the network with its norms folded.
  graph::Graph folded = small;
  graph::differentiate_training(folded, {{}});
  EXPECT_EQ(nodes_for({last}), folded.nodes.size() + 2);
  EXPECT_GT(nodes_for({first}), folded.nodes.size() + 20);
}

TEST(WeightGradients, AreOfWhatCheckpointsTrain) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int image = maker.image(2, 4, 4);
  graph::Node time = graph::make_node(DPM_OP_TIME_EMBEDDING, "time", {maker.time()}, graph::TimeEmbedding{8});
  time.weights = {maker.constant({4})};
  const int vector = maker.convolution(maker.add(time), 2, {});
  const int unread = maker.bias(image);
  maker.output(maker.bias(maker.add(DPM_OP_CHANNEL_ADD, {maker.separable(image, 4, 4), vector})));
  const graph::Graph& graph = maker.graph();
  EXPECT_EQ(graph::differentiable_constants(graph), (std::vector<int>{1, 5}));
  const auto said = [&](std::vector<int> constants, ErrorCode code) {
    return refusal(code, [&] {
      graph::Graph derived = graph;
      graph::differentiate_training(derived, {std::move(constants)});
    });
  };
  EXPECT_EQ(said({0}, ErrorCode::kUnsupported), "random 0: this weight has no gradient, by the way that time reads it");
  EXPECT_EQ(said({3}, ErrorCode::kUnsupported).find("random 3: this weight has no gradient"), 0U);
  EXPECT_EQ(said({2}, ErrorCode::kUnsupported), "random 2: no output of the network depends on it") << unread;
  EXPECT_EQ(said({9}, ErrorCode::kArgument), "there is no constant 9");
  EXPECT_EQ(said({-1}, ErrorCode::kArgument), "there is no constant -1");
  EXPECT_EQ(said({1, 1}, ErrorCode::kArgument), "two weights are called random 1");
}

TEST(WeightGradients, AreRefusedByNameThroughAScaleAndShiftWithoutANorm) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int image = maker.image(2, 4, 4);
  maker.output(maker.bias(maker.add(DPM_OP_SCALE_SHIFT, {image, maker.time_vector(4)})));
  graph::Graph graph = maker.graph();
  EXPECT_EQ(refusal(ErrorCode::kUnsupported, [&] { graph::differentiate_training(graph, {{0}}); }),
            "node 2: its scale and shift have a derivative only where they follow a group norm");
}

/// The largest difference of two results relative to the largest element of each constant's gradient.
void expect_near(const GradientsResult& result, const GradientsResult& expected, double tolerance) {
  ASSERT_EQ(result.of_constants.size(), expected.of_constants.size());
  double largest = 0;
  for (const auto& [constant, gradient] : expected.of_constants) {
    for (const float each : gradient) largest = std::max<double>(largest, std::abs(each));
  }
  for (const auto& [constant, gradient] : expected.of_constants) {
    // Gradients that vanish are rounding noise, so they are compared with the largest of all.
    double size = 1e-2 * largest;
    for (const float each : gradient) size = std::max<double>(size, std::abs(each));
    const std::vector<float>& found = result.of_constants.at(constant);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      ASSERT_NEAR(found[i], gradient[i], tolerance * size) << constant << ", element " << i;
    }
  }
}

TEST(WeightGradients, OfTheCpuAreThoseOfTheReference) {
  for (const int batch : {1, 3, 20}) {
    const SmallNetwork small(SecondOutput::kHead);
    const NetworkOptions options = with_gradients(SmallNetwork::options());
    Network reference(Device::open("reference", {}), small.graph(), options);
    Network cpu(Device::open("cpu", {2, false}), small.graph(), options);
    expect_near(gradients_of(cpu, batch), gradients_of(reference, batch), 5e-5);
  }
}

TEST(WeightGradients, OfTransformersOnTheCpuAreThoseOfTheReference) {
  RandomValues random(6);
  const graph::Graph graph = small_transformer(random);
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    for (const int batch : {1, 20}) {
      const NetworkOptions options = with_gradients({20, false, {}});
      Network reference(Device::open("reference", {}), graph, options);
      Network cpu(Device::open("cpu", {2, true}), graph, options);
      expect_near(gradients_of(cpu, batch), gradients_of(reference, batch), 5e-5);
    }
  }
}

TEST(WeightGradients, OfTheCpuDoNotDependOnThreadsOrOnWhatIsComputedAgain) {
  const SmallNetwork small;
  const auto gradients = [&](int threads, graph::Recompute recompute) {
    NetworkOptions options = with_gradients(SmallNetwork::options());
    options.recompute = recompute;
    Network network(Device::open("cpu", {threads, false}), small.graph(), options);
    return gradients_of(network, 12).of_constants;
  };
  const auto expected = gradients(1, graph::Recompute::kNone);
  for (const int threads : {2, 3, 7}) EXPECT_EQ(gradients(threads, graph::Recompute::kNone), expected) << threads;
  EXPECT_EQ(gradients(2, graph::Recompute::kBlocks), expected);
}

TEST(WeightGradients, OfTheCpuAreAddedToWhatIsThere) {
  const SmallNetwork small;
  Network network(Device::open("cpu", {2, false}), small.graph(), with_gradients(SmallNetwork::options()));
  GradientsResult doubled = gradients_of(network, 5);
  for (auto& [constant, gradient] : doubled.of_constants) {
    for (float& each : gradient) each *= 2;
  }
  expect_near(gradients_of(network, 5, 2), doubled, 1e-6);
}

TEST(WeightGradients, OfRandomGraphsAreThoseOfTheReferenceOnTheCpu) {
  int compared = 0;
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    const RandomGraph made = graph_of(seed);
    const auto load = [&](const char* device) -> std::unique_ptr<Network> {
      try {
        return std::make_unique<Network>(Device::open(device, {2, false}), made.graph(),
                                         with_gradients(made.options()));
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << seed << error.what();
        return nullptr;
      }
    };
    const auto reference = load("reference");
    const auto cpu = load("cpu");
    EXPECT_EQ(reference == nullptr, cpu == nullptr) << seed;
    if (!reference || !cpu) continue;
    ++compared;
    SCOPED_TRACE(seed);
    expect_near(gradients_of(*cpu, made.batch()), gradients_of(*reference, made.batch()), 1e-4);
  }
  EXPECT_GT(compared, 20);
}

TEST(WeightGradients, TakeATensorAndAllCotangents) {
  const auto reference = Device::open("reference", {});
  Network network(reference, SmallNetwork(SecondOutput::kHead).graph(), with_gradients(SmallNetwork::options()));
  network.reserve(1);
  const auto buffer = reference->allocate(network.gradients().elements() * sizeof(float));
  const float time = 1;
  Evaluation evaluation;
  evaluation.batch = 1;
  evaluation.out_cotangent = evaluation.head_cotangent = buffer->view(0);
  for (dpm_view Evaluation::* missing :
       {&Evaluation::gradients, &Evaluation::out_cotangent, &Evaluation::head_cotangent}) {
    Evaluation without = evaluation;
    without.gradients = buffer->view(0);
    without.*missing = {};
    EXPECT_EQ(refusal(ErrorCode::kArgument, [&] { network.evaluate(without, &time); }),
              "gradients of weights take a tensor, and cotangents of all outputs");
  }
}

TEST(WeightGradients, LeaveWhatDerivativesOfNormsReadWhereItIs) {
  // A device that takes every fusion: vectors and biases move to norms, but not where the sum has another reader.
  const auto moved = [](graph::Graph graph) {
    graph::fuse(graph, [](const graph::Graph&, const graph::Node&) { return true; });
    return std::ranges::count_if(graph.nodes, [](const graph::Node& node) {
      return node.op == DPM_OP_GROUP_NORM && (node.input(2) >= 0 || node.biases.size() > 1);
    });
  };
  const graph::Graph small = SmallNetwork().graph();
  EXPECT_GT(moved(small), 0);
  graph::Graph derived = small;
  graph::differentiate_training(derived, {graph::differentiable_constants(small)});
  EXPECT_EQ(moved(derived), 0);
}

TEST(SharedResults, AreBoundSumsOverRows) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int image = maker.image(2, 4, 4);
  maker.leave(image);
  const int sum = maker.add(DPM_OP_ROW_SUM, {image});
  const graph::Graph unbound = maker.graph();
  EXPECT_EQ(refusal(ErrorCode::kArgument, [&] { graph::validate(unbound); }),
            "node 1: its result, which rows share, is not bound");
  EXPECT_EQ(refusal(ErrorCode::kUnsupported, [&] { graph::plan_memory(unbound, {}); }),
            "node 1: its result, which rows share, is not bound");

  graph::Graph bound = unbound;
  bound.bind_output(sum, "gradient.x");
  EXPECT_NO_THROW(graph::validate(bound));
  const auto said = [&](const auto& spoil) {
    graph::Graph graph = bound;
    spoil(graph);
    return refusal(ErrorCode::kArgument, [&] { graph::validate(graph); });
  };
  const auto value = [sum](graph::Graph& graph) -> graph::Value& { return graph.values[at(sum)]; };
  EXPECT_EQ(said([&](auto& graph) { graph.bindings.back().name = "x"; }), "x: a sum over rows is no such tensor");
  EXPECT_EQ(said([&](auto& graph) { value(graph).varies = DPM_VARIES_ROW; }),
            "gradient.x: this name is for sums over rows");
  EXPECT_EQ(said([&](auto& graph) { graph.add(graph::make_node(DPM_OP_SILU, "reader", {sum})); }),
            "reader: it reads a value that rows share");
  EXPECT_EQ(said([&](auto& graph) { graph.nodes.back().op = DPM_OP_SILU; }), "node 1: its result is one for each row");
}

TEST(SquareScore, IsTheDerivativeOfWeightedSquares) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int x = maker.image(1, 1, 1);
  const int target = maker.affine(x, -0.5F, 1);
  maker.output(maker.affine(maker.add(DPM_OP_SQUARE_SCORE, {x, target, maker.affine(x, 3)}), 1));
  GraphInputs inputs;
  inputs.image = {-2, 0, 0.5F, 3};
  const auto found = run_graph(Device::open("reference", {}), maker.graph(), 4, inputs, false);
  for (std::size_t n = 0; n < found.size(); ++n) {
    const float number = inputs.image[n];
    EXPECT_FLOAT_EQ(found[n], 2 * 3 * number * (number - (1 - 0.5F * number)));
  }
}

TEST(SquareScore, ComparesWithTheSquareOfADifference) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int x = maker.image(1, 1, 1);
  const std::vector<int> inputs{x, maker.affine(x, -0.5F, 1), maker.affine(x, 3), maker.affine(x, 2, 5)};
  maker.output(maker.affine(maker.add(DPM_OP_SQUARE_SCORE, inputs), 1));
  GraphInputs given;
  given.image = {-2, 0, 0.5F, 3};
  for (const char* device : {"reference", "cpu", "cuda:0"}) {
    const auto found = run_graph(Device::open(device, {}), maker.graph(), 4, given, false);
    for (std::size_t n = 0; n < found.size(); ++n) {
      const float number = given.image[n];
      const float difference = (1 - 0.5F * number) - (2 * number + 5);
      EXPECT_FLOAT_EQ(found[n], 2 * 3 * number * (number - difference * difference)) << device;
    }
  }
}

/// Compares <gradient of W, V> with <d, convolution of V>, for maps of odd and even sides and all borders.
TEST(ConvolutionWeights, AreTheAdjointOfTheConvolution) {
  const auto reference = Device::open("reference", {});
  for (int index = 0; index < 60; ++index) {
    RandomValues random(static_cast<std::uint32_t>(index));
    GraphMaker maker(random);
    const int kernel = 1 + index % 5;
    const graph::Convolution how{kernel, 1 + index / 5 % 3, random.between(0, kernel - 1),
                                 random.between(0, kernel - 1)};
    const int x = maker.image(random.between(1, 5), random.between(kernel, 9), random.between(kernel, 9));
    const int product_of_x = maker.convolution(x, random.between(1, 5), how);
    maker.output(maker.affine(product_of_x, 1));
    const Loss loss(maker.graph(), {}, 3);
    // The output is linear in the weights: along themselves the loss changes by itself.
    const double expected = product(loss.result().outputs, loss.result().cotangents);
    const std::vector<float> weights = elements_of(maker.graph().constants.front());
    const std::vector<float>& gradient = loss.result().of_constants.at(0);
    const double size = std::sqrt(product(gradient, gradient) * product(weights, weights));
    EXPECT_NEAR(product(gradient, weights), expected, 1e-6 * size) << index;
    // And along another direction by the output of that.
    const std::vector<float> direction = random.normals(weights.size());
    const auto [slope, rounding] = loss.slope(0, direction, 1);
    EXPECT_NEAR(product(gradient, direction), slope, 1e-5 * size + rounding) << index;
  }
}

}  // namespace
}  // namespace dpm::test
