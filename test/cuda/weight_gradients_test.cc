// Test of gradients of weights on the CUDA device against the reference device.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "cuda_device.h"
#include "evaluate_derivative.h"
#include "graph/lowered.h"
#include "graph/passes/derivatives.h"
#include "graph/planner.h"
#include "graph_maker.h"
#include "random_graph.h"
#include "small_network.h"
#include "small_transformer.h"

namespace dpm::test {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint32_t kGraphs = 8;
#else
constexpr std::uint32_t kGraphs = 30;
#endif
// Convolutions that the emulation's products take over; a real GPU ignores this.
constexpr const char* kProducts[] = {"all", "bare", "none"};
/// Five rows are computed as six where there are products, in memory for eight.
constexpr int kRows = 5;
constexpr int kReserved = 8;

NetworkOptions with_gradients(NetworkOptions options, graph::Seed seed = graph::Seed::kGiven) {
  options.derivative = Derivative::kWeights;
  options.seed = seed;
  return options;
}

double tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
      return 2e-2;
    case DType::kBFloat16:
      return 1e-1;
    default:
      return 1e-4;
  }
}

double length(const std::vector<float>& values) { return std::sqrt(product(values, values)); }

/// Returns the largest difference of two gradients, as lengths. Those that vanish are rounding noise, so they are
/// compared with the largest of all.
double difference_of(const GradientsResult& result, const GradientsResult& expected) {
  double largest = 0;
  for (const auto& [constant, gradient] : expected.of_constants) largest = std::max(largest, length(gradient));
  double difference = 0;
  for (const auto& [constant, gradient] : expected.of_constants) {
    std::vector<float> change = result.of_constants.at(constant);
    for (std::size_t i = 0; i < change.size(); ++i) change[i] -= gradient[i];
    const double own = length(change) / std::max({length(gradient), 1e-2 * largest, 1e-6});
    // A NaN stays the result.
    if (!(own <= difference)) difference = own;
  }
  return difference;
}

RandomGraph graph_of(std::uint32_t seed) {
  const auto generator = std::make_shared<std::mt19937>(seed);
  return {[generator](int n) { return std::uniform_int_distribution<int>(0, n - 1)(*generator); },
          RandomGraph::kDifferentiable};
}

TEST_F(CudaDevice, GradientsOfRandomGraphsAgree) {
  const auto reference = Device::open("reference", {});
  std::set<dpm_op> covered;
  int count = 0;
  for (std::uint32_t seed = 0; seed < kGraphs; ++seed) {
    const RandomGraph made = graph_of(seed);
    const NetworkOptions options = with_gradients(made.options());
    const auto probe = [&] { const Network network(reference, made.graph(), options); };
    if (code_of(probe) != ErrorCode::kOk) continue;
    ++count;
    const ScopedEnvironment products("DPM_EMULATED_PRODUCTS", kProducts[seed % std::size(kProducts)]);
    Network expected_of(reference, made.graph(), options);
    const GradientsResult expected = gradients_of(expected_of, kRows, 3);
    for (const DType dtype : {DType::kFloat32, seed % 2 == 0 ? DType::kFloat16 : DType::kBFloat16}) {
      Network own(open(dtype), made.graph(), options);
      for (const graph::Node& node : own.graph().nodes) covered.insert(node.op);
      own.reserve(kReserved);
      const GradientsResult result = gradients_of(own, kRows, 3);
      const bool bends = std::ranges::any_of(own.graph().nodes, [](const graph::Node& node) {
        return node.op == DPM_OP_ACTIVATION_BACKWARD &&
               graph::attributes<graph::Activation>(node).kind == DPM_ACTIVATION_RELU;
      });
      if (bends && dtype != DType::kFloat32) continue;
      EXPECT_LT(difference_of(result, expected), tolerance_of(dtype)) << seed << ", type " << static_cast<int>(dtype);
    }
  }
  EXPECT_GT(count, static_cast<int>(kGraphs) / 3);
#if !defined(__SANITIZE_ADDRESS__)
  for (const dpm_op op : {DPM_OP_CONVOLUTION_WEIGHTS, DPM_OP_ROW_SUM, DPM_OP_EMBEDDING_WEIGHTS}) {
    EXPECT_EQ(covered.count(op), 1U) << op;
  }
#endif
}

TEST_F(CudaDevice, GradientsOfALossAgree) {
  const SmallNetwork small;
  const NetworkOptions options = with_gradients(SmallNetwork::options(), graph::Seed::kSquare);
  Network reference(Device::open("reference", {}), small.graph(), options);
  const GradientsResult expected = gradients_of(reference, kRows);
  for (const char* products : kProducts) {
    const ScopedEnvironment emulated("DPM_EMULATED_PRODUCTS", products);
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      Network own(open(dtype), small.graph(), options);
      own.reserve(kReserved);
      const GradientsResult result = gradients_of(own, kRows);
      EXPECT_LT(difference_of(result, expected), tolerance_of(dtype)) << products;
      EXPECT_LT(relative_difference(result.cotangents, expected.cotangents), tolerance_of(dtype)) << products;
      EXPECT_LT(relative_difference(result.outputs, expected.outputs), tolerance_of(dtype)) << products;
    }
  }
}

TEST_F(CudaDevice, GradientsOfATransformerAgree) {
  RandomValues random(7);
  const graph::Graph graph = small_transformer(random);
  const NetworkOptions options = with_gradients({kReserved, false, {}});
  Network reference(Device::open("reference", {}), graph, options);
  const GradientsResult expected = gradients_of(reference, kRows);
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    Network own(open(dtype), graph, options);
    own.reserve(kReserved);
    const GradientsResult result = gradients_of(own, kRows);
    EXPECT_LT(difference_of(result, expected), tolerance_of(dtype)) << static_cast<int>(dtype);
    EXPECT_LT(relative_difference(result.of_image, expected.of_image), tolerance_of(dtype)) << static_cast<int>(dtype);
  }
}

TEST_F(CudaDevice, GradientsHaveTheSameBitsEveryTime) {
  const SmallNetwork small;
  const auto evaluate = [&](graph::Recompute recompute) {
    NetworkOptions options = with_gradients(SmallNetwork::options());
    options.recompute = recompute;
    Network network(device_, small.graph(), options);
    return gradients_of(network, 6);
  };
  const GradientsResult expected = evaluate(graph::Recompute::kNone);
  EXPECT_EQ(evaluate(graph::Recompute::kNone).of_constants, expected.of_constants);
  for (const graph::Recompute recompute : {graph::Recompute::kNorms, graph::Recompute::kBlocks}) {
    EXPECT_LT(difference_of(evaluate(recompute), expected), 1e-5);
  }
}

TEST_F(CudaDevice, GradientsAreAddedToTheTensorOfEachEvaluation) {
  const SmallNetwork small;
  Network network(device_, small.graph(), with_gradients(SmallNetwork::options()));
  const GradientsResult once = gradients_of(network, kRows);
  GradientsResult expected = once;
  constexpr int kTimes = 5;
  for (auto& [constant, gradient] : expected.of_constants) {
    for (float& each : gradient) each *= kTimes;
  }
  // The later ones of these are replayed graphs, of other tensors than those above.
  const auto apart = device_->allocate(1024);
  EXPECT_LT(difference_of(gradients_of(network, kRows, kTimes), expected), 1e-6);
  EXPECT_LT(difference_of(gradients_of(network, kRows), once), 1e-12);
}

TEST_F(CudaDevice, GradientsOfBatchesDoNotAffectOneAnother) {
  const SmallNetwork small;
  const auto loaded = [&] {
    auto network = std::make_unique<Network>(device_, small.graph(), with_gradients(SmallNetwork::options()));
    network->reserve(kReserved);
    return network;
  };
  const auto network = loaded();
  std::map<int, std::map<int, std::vector<float>>> expected;
  for (const int rows : {5, 1, 3, 5, 8, 5, 1, 5}) {
    if (expected.count(rows) == 0) expected[rows] = gradients_of(*loaded(), rows).of_constants;
    EXPECT_EQ(gradients_of(*network, rows).of_constants, expected[rows]) << rows;
  }
}

/// Rows that pad a batch are cleared in a part of a wider map, behind which lies a map that is read afterwards.
TEST_F(CudaDevice, GradientsOfAPartOfAMapLeaveWhatLiesBehindIt) {
  RandomValues random(8);
  GraphMaker maker(random);
  constexpr int kChannels = 8;
  const int image = maker.image(kChannels, 6, 6);
  const int first = maker.enter(image);
  const int part = maker.affine(image, 0.5F, -0.25F);
  const int whole = maker.add(DPM_OP_CONCAT, {first, part});
  // The first branch's map lies behind the whole, and is read again after the second one's gradients.
  const auto branch = [&](int from) { return maker.silu(maker.convolution(from, kChannels, same_size(3))); };
  const int branches[] = {branch(part), branch(part), branch(whole)};
  maker.leave(maker.sum(maker.sum(branches[0], branches[1]), branches[2]));
  const NetworkOptions options = with_gradients({});
  Network reference(Device::open("reference", {}), maker.graph(), options);
  Network own(device_, maker.graph(), options);
  own.reserve(6);
  EXPECT_LT(difference_of(gradients_of(own, kRows), gradients_of(reference, kRows)), tolerance_of(DType::kFloat32));
}

/// A graph with a sum over rows, on the device's own entries.
class ProfiledSum {
 public:
  explicit ProfiledSum(const std::shared_ptr<Device>& device) : api_(device->api()) {
    RandomValues random(5);
    GraphMaker maker(random);
    const int sum = maker.add(DPM_OP_ROW_SUM, {maker.enter(maker.image(3, 4, 4))});
    maker.output(sum);
    const graph::LoweredGraph lowered(maker.graph());
    check(api_.network.load(device->get(), &lowered.get(), &network_, &message_), message_);
    const graph::MemoryPlan memory = graph::plan_memory(maker.graph(), device->placement_rules());
    arena_ = device->allocate(kRows * memory.elements * sizeof(float));
    const dpm_plan plan{kRows, memory.offsets.data(), arena_->get()};
    check(api_.network.compile(network_, &plan, &executable_, &message_), message_);
    image_ = device->allocate(kRows * kElements * sizeof(float));
    sum_ = device->allocate(kElements * sizeof(float));
    const std::vector<float> image(kRows * kElements, 1.0F);
    image_->upload(0, image.data(), image_->bytes());
    seconds_.resize(maker.graph().nodes.size());
    for (const graph::Binding& binding : maker.graph().bindings) {
      views_.push_back(binding.name == DPM_BINDING_IMAGE ? image_->view(kElements) : sum_->view(0));
    }
  }
  ~ProfiledSum() {
    api_.network.discard(executable_);
    api_.network.unload(network_);
  }
  ProfiledSum(const ProfiledSum&) = delete;
  ProfiledSum& operator=(const ProfiledSum&) = delete;

  /// Returns what an evaluation adds to zeros.
  std::vector<float> added(bool is_profiled) {
    sum_->clear(0, sum_->bytes());
    const dpm_bindings bindings{kRows, static_cast<std::uint32_t>(views_.size()), views_.data(), {}};
    double* seconds = is_profiled ? seconds_.data() : nullptr;
    check(api_.network.run(executable_, &bindings, seconds, &message_), message_);
    std::vector<float> values(kElements);
    sum_->download(0, values.data(), sum_->bytes());
    return values;
  }

 private:
  static constexpr std::size_t kElements = std::size_t{3} * 4 * 4;
  const dpm_backend& api_;
  dpm_message message_{};
  dpm_network* network_ = nullptr;
  dpm_executable* executable_ = nullptr;
  std::shared_ptr<Buffer> arena_, image_, sum_;
  std::vector<dpm_view> views_;
  std::vector<double> seconds_;
};

TEST_F(CudaDevice, SumsAreAddedOnceByAProfile) {
  ProfiledSum sum(device_);
  const std::vector<float> expected = sum.added(false);
  EXPECT_NE(expected, std::vector<float>(expected.size(), 0.0F));
  EXPECT_EQ(sum.added(true), expected);
}

TEST_F(CudaDevice, ALossIsRefusedInATypeThatCannotHoldItsCotangents) {
  const SmallNetwork small;
  const NetworkOptions options = with_gradients(SmallNetwork::options(), graph::Seed::kSquare);
  try {
    const Network network(open(DType::kFloat16), small.graph(), options);
    FAIL() << "loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("f16"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace dpm::test
