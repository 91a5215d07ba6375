// Test of derivatives of graphs on the CUDA device against the reference device.
#include "graph/passes/derivatives.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "cuda_device.h"
#include "evaluate_derivative.h"
#include "random_graph.h"

namespace dpm::test {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint32_t kGraphs = 8;
#else
constexpr std::uint32_t kGraphs = 30;
#endif
constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

/// Largest differences allowed (relative to the largest value).
double tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
      return 1e-2;
    case DType::kBFloat16:
      return 6e-2;
    default:
      return 1e-4;
  }
}

RandomGraph graph_of(std::uint32_t seed) {
  const auto generator = std::make_shared<std::mt19937>(seed);
  return {[generator](int n) { return std::uniform_int_distribution<int>(0, n - 1)(*generator); },
          RandomGraph::kDifferentiable};
}

/// Returns whether a rounding can change a slope between 0 and 1.
bool bends(const graph::Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const graph::Node& node) {
    return node.op == DPM_OP_ACTIVATION_BACKWARD &&
           graph::attributes<graph::Activation>(node).kind == DPM_ACTIVATION_RELU;
  });
}

double root_mean_square_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return std::sqrt(sum / std::max(1e-12, product(b, b)));
}

TEST_F(CudaDevice, DerivativesOfRandomGraphsAgree) {
  const auto reference = Device::open("reference", {});
  std::set<dpm_op> covered;
  // Number of derivatives of convolutions of stride 2 whose convolution skips the inserted zeros.
  int with_zeros = 0;
  int count = 0;
  for (std::uint32_t seed = 0; seed < kGraphs; ++seed) {
    const RandomGraph made = graph_of(seed);
    const auto probe = [&] { const Network network = made.network(reference, Derivative::kPullback); };
    if (code_of(probe) != ErrorCode::kOk) continue;
    ++count;
    // Operations that the emulation's products join to a convolution; a real GPU ignores this.
    constexpr const char* kProducts[] = {"all", "bare", "none"};
    const ScopedEnvironment products("DPM_EMULATED_PRODUCTS", kProducts[seed % std::size(kProducts)]);
    for (const Derivative derivative : {Derivative::kPullback, Derivative::kPushforward}) {
      Network network = made.network(reference, derivative);
      const DerivativeResult expected = derive_twice(network, made.batch());
      for (const DType dtype : kTypes) {
        Network own = made.network(open(dtype), derivative);
        for (const graph::Node& node : own.graph().nodes) {
          covered.insert(node.op);
          with_zeros +=
              node.op == DPM_OP_CONVOLUTION && graph::attributes<graph::Convolution>(node).zero_upsample ? 1 : 0;
        }
        const DerivativeResult result = derive_twice(own, made.batch());
        const bool may_bend = dtype != DType::kFloat32 && bends(network.graph());
        const double difference = may_bend ? root_mean_square_difference(result.derived, expected.derived)
                                           : relative_difference(result.derived, expected.derived);
        EXPECT_LT(difference, (may_bend ? 2 : 1) * tolerance_of(dtype))
            << "seed " << seed << ", type " << static_cast<int>(dtype);
        EXPECT_LT(relative_difference(result.outputs, expected.outputs), tolerance_of(dtype)) << "seed " << seed;
      }
    }
  }
  EXPECT_GT(count, static_cast<int>(kGraphs) / 2);
#if !defined(__SANITIZE_ADDRESS__)
  for (std::uint32_t op = DPM_OP_ACTIVATION_BACKWARD; op < static_cast<std::uint32_t>(DPM_OP_LABEL_SCORE); ++op) {
    EXPECT_EQ(covered.count(static_cast<dpm_op>(op)), 1) << op;
  }
  EXPECT_GT(with_zeros, 3);
#endif
}

TEST_F(CudaDevice, BothWaysAreTransposed) {
  for (std::uint32_t seed = 0; seed < kGraphs / 4; ++seed) {
    const RandomGraph made = graph_of(seed);
    const auto probe = [&] { const Network network = made.network(device_, Derivative::kPullback); };
    if (code_of(probe) != ErrorCode::kOk) continue;
    Network backward = made.network(device_, Derivative::kPullback);
    Network forward = made.network(device_, Derivative::kPushforward);
    const DerivativeResult pulled = derive_twice(backward, made.batch());
    const DerivativeResult pushed = derive_twice(forward, made.batch());
    // The two sides are v (J u) and (J^T v) u.
    const double size = std::sqrt(product(pulled.given, pulled.given) * product(pushed.derived, pushed.derived));
    EXPECT_NEAR(product(pulled.derived, pushed.given), product(pulled.given, pushed.derived),
                1e-5 * std::max(size, 1e-6))
        << seed;
  }
}

TEST_F(CudaDevice, DerivativesHaveTheSameBitsEveryTime) {
  for (std::uint32_t seed = 0; seed < kGraphs / 4; ++seed) {
    const RandomGraph made = graph_of(seed);
    const auto evaluate = [&] {
      Network network = made.network(open(DType::kBFloat16), Derivative::kPullback);
      return derive_twice(network, made.batch()).derived;
    };
    std::vector<float> first;
    if (code_of([&] { first = evaluate(); }) != ErrorCode::kOk) continue;
    EXPECT_EQ(evaluate(), first) << seed;
  }
}

/// A network with its tensors, whose cotangents a test chooses.
class CudaPullback : public CudaDevice {
 protected:
  static constexpr std::size_t kElements = std::size_t{3} * 6 * 5;

  void SetUp() override {
    CudaDevice::SetUp();
    if (device_ == nullptr) return;
    RandomValues random(3);
    GraphMaker maker(random);
    const int map = maker.silu(maker.bias(maker.convolution(maker.image(3, 6, 5), 8, same_size(3))));
    maker.output(maker.bias(maker.convolution(map, 3, same_size(3))));
    NetworkOptions options;
    options.derivative = Derivative::kPullback;
    network_ = std::make_unique<Network>(device_, maker.graph(), options);
    network_->reserve(1);
    evaluation_.batch = 1;
    evaluation_.image = tensor(random.normals(kElements));
    evaluation_.out = tensor(std::vector<float>(kElements));
    evaluation_.image_cotangent = tensor(std::vector<float>(kElements));
  }

  dpm_view tensor(const std::vector<float>& values) {
    tensors_.push_back(device_->allocate(values.size() * sizeof(float)));
    tensors_.back()->upload(0, values.data(), values.size() * sizeof(float));
    return tensors_.back()->view(kElements);
  }

  /// Returns tensor `index` after an evaluation.
  std::vector<float> evaluated(std::size_t index) {
    network_->evaluate(evaluation_, nullptr);
    std::vector<float> values(kElements);
    tensors_[index]->download(0, values.data(), kElements * sizeof(float));
    return values;
  }

  std::unique_ptr<Network> network_;
  Evaluation evaluation_;
  std::vector<std::shared_ptr<Buffer>> tensors_;
};

TEST_F(CudaPullback, AReplayedGraphIsThatOfItsTensors) {
  std::vector<float> cotangent(kElements, 0.5F);
  const dpm_view once = tensor(cotangent);
  for (float& value : cotangent) value *= 2;
  const dpm_view twice = tensor(cotangent);
  evaluation_.out_cotangent = once;
  const std::vector<float> expected = evaluated(2);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(evaluated(2), expected) << i;
  evaluation_.out_cotangent = twice;
  std::vector<float> doubled = expected;
  for (float& value : doubled) value *= 2;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(evaluated(2), doubled) << i;
  evaluation_.image_cotangent = tensor(std::vector<float>(kElements));
  EXPECT_EQ(evaluated(tensors_.size() - 1), doubled);
}

TEST_F(CudaPullback, WithoutCotangentsTheOutputsAreComputedAlone) {
  evaluation_.out_cotangent = tensor(std::vector<float>(kElements, 1.0F));
  const std::vector<float> expected = evaluated(1);
  const std::vector<float> derived = evaluated(2);
  evaluation_.out = tensor(std::vector<float>(kElements));
  evaluation_.out_cotangent = {};
  evaluation_.image_cotangent = {};
  EXPECT_EQ(evaluated(tensors_.size() - 1), expected);
  EXPECT_EQ(evaluated(2), derived) << "nobody wrote it";
}

/// The limit of the width is that of the attention itself.
TEST_F(CudaDevice, DerivativesOfHeadsThatAreTooWideAreRefused) {
  for (const int channels : {1024, 1025}) {
    for (const dpm_op op : {DPM_OP_ATTENTION_BACKWARD, DPM_OP_ATTENTION_TANGENT}) {
      RandomValues random(1);
      GraphMaker maker(random);
      const int map = maker.enter(maker.image(channels, 1, 2));
      const std::vector<int> inputs(op == DPM_OP_ATTENTION_BACKWARD ? 4 : 6, map);
      maker.leave(maker.add(op, inputs, graph::Attention{1}));
      const GraphInputs values{random.normals(maker.graph().values[0].elements()), {}, {}};
      EXPECT_EQ(code_of([&] { run_graph(device_, maker.graph(), 1, values, false); }),
                channels > 1024 ? ErrorCode::kUnsupported : ErrorCode::kOk)
          << channels << ", " << op;
    }
  }
}

}  // namespace
}  // namespace dpm::test
