// Test that every product of the benchmark networks gets a plan of cuDNN for every GPU that is described in cards/.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string>

#include "core/error.h"
#include "cuda/dnn/attention.h"
#include "cuda/dnn/convolution_candidates.h"
#include "cuda/dnn/convolution_graph.h"
#include "cuda/dnn/weight_gradient.h"
#include "network_shapes.h"
#include "real_cudnn.h"

namespace dpm::cuda {
namespace {

/// Products of networks, and the batches that they are planned for.
struct Networks {
  const char* shapes;
  std::array<int, 2> batches;
};
constexpr Networks kPixels{DPM_SOURCE_DIR "/test/cuda/dnn/network_shapes.tsv", {1, 128}};
constexpr Networks kLatents{DPM_SOURCE_DIR "/test/cuda/dnn/latent_shapes.tsv", {2, 16}};
constexpr int kWidestOfCudnn = 256;

/// Calls `use(convolution)` for every one of all networks.
template <typename Use>
void for_every_convolution(const Use& use) {
  for (const Networks& networks : {kPixels, kLatents}) {
    for (const int batch : networks.batches) {
      const NetworkShapes shapes = read_network_shapes(networks.shapes, batch);
      ASSERT_GT(shapes.convolutions.size(), 90U);
      for (const ConvolutionProblem& problem : shapes.convolutions) use(problem);
    }
  }
}

class NetworkPlans : public RealCudnn {
 protected:
  void SetUp() override {
    RealCudnn::SetUp();
    if (IsSkipped()) return;
    if (has_driver()) GTEST_SKIP() << "skipped: there is a driver";
  }

  /// Calls `use(target)` for every GPU.
  template <typename Use>
  void for_every_card(const Use& use) const {
    int cards = 0;
    for (const auto& entry : std::filesystem::directory_iterator(DPM_SOURCE_DIR "/test/cuda/dnn/cards")) {
      ++cards;
      SCOPED_TRACE(entry.path().filename().string());
      const Descriptor card = make_device(library(), card_json(entry.path().stem().string()));
      use(PlanTarget{nullptr, &card, 90});
    }
    EXPECT_GE(cards, 1);
  }
};

/// Returns whether a heuristic of cuDNN, asked without preferences of ours, proposes a Hopper kernel that needs no
/// compiling.
bool has_hopper(const CudnnLibrary& library, const ConvolutionProblem& problem, PlanTarget target) {
  ConvolutionProblem packed = problem;
  packed.out_pixel_stride = packed.out_channels;
  target.capability = 0;
  const Descriptor graph = problem.zero_upsample ? make_data_gradient_graph(library, packed, target)
                                                 : make_convolution_graph(library, packed, 0, target);
  const PlanRules rules{.precompiled = true};
  const std::vector<Plan> plans = find_plans(library, graph, target, rules, 1000);
  return std::any_of(plans.begin(), plans.end(), [](const Plan& plan) { return is_hopper(plan.choice); });
}

TEST_F(NetworkPlans, AreHopperKernelsWhereverThereAreSome) {
  for_every_card([&](const PlanTarget& target) {
    int hopper = 0;
    for_every_convolution([&](const ConvolutionProblem& problem) {
      const auto found = find_candidates(library(), problem, {.target = target});
      const bool is_one = is_hopper(found.front().plan.choice);
      EXPECT_EQ(is_one, has_hopper(library(), problem, target)) << problem_key(problem);
      hopper += is_one ? 1 : 0;
    });
    EXPECT_GT(hopper, 400);
  });
}

/// Returns the bytes that cuDNN copies before it multiplies: an input that lies inside a wider map. Before 9.20 it lays
/// out anew what belongs to an input of pixels narrower than 16 bytes.
std::int64_t copied_bytes(const ConvolutionProblem& p) {
  if (p.in_channels < 8) return std::int64_t{p.batch} * p.out_height * p.out_width * p.out_channels * 4;
  if (p.in_pixel_stride == p.in_channels) return 0;
  return std::int64_t{p.batch} * p.in_height * p.in_width * p.in_channels * 2;
}

TEST_F(NetworkPlans, AreMadeWithoutCompiling) {
  for_every_card([&](const PlanTarget& target) {
    forget_kernel();
    for_every_convolution([&](const ConvolutionProblem& problem) {
      const auto found = find_candidates(library(), problem, {.target = target});
      ASSERT_EQ(found.size(), 1U) << problem_key(problem);
      EXPECT_EQ(found.front().parts, 0U) << problem_key(problem);
      EXPECT_EQ(found.front().packed, problem.out_pixel_stride != problem.out_channels) << problem_key(problem);
      EXPECT_LT(found.front().plan.workspace_bytes, copied_bytes(problem) + (8 << 20)) << problem_key(problem);
    });
    EXPECT_EQ(last_kernel(), "");
  });
}

TEST_F(NetworkPlans, OfDataGradientsExistForEveryConvolution) {
  for_every_card([&](const PlanTarget& target) {
    forget_kernel();
    int strided = 0;
    for (const int batch : kPixels.batches) {
      for (const ConvolutionProblem& forward : read_network_shapes(kPixels.shapes, batch).convolutions) {
        const ConvolutionProblem problem = data_gradient_of(forward);
        ASSERT_NO_THROW(check_problem(problem)) << problem_key(forward);
        const Descriptor graph = make_data_gradient_graph(library(), problem, target);
        const std::vector<Plan> plans = find_plans(library(), graph, target, {.precompiled = true}, 1);
        ASSERT_EQ(plans.size(), 1U) << problem_key(problem);
        EXPECT_TRUE(is_hopper(plans.front().choice)) << problem_key(problem);
        const auto found = find_candidates(library(), problem, {.target = target});
        ASSERT_EQ(found.size(), 1U) << problem_key(problem);
        EXPECT_EQ(found.front().data_gradient, problem.zero_upsample) << problem_key(problem);
        EXPECT_EQ(is_hopper(found.front().plan.choice), has_hopper(library(), problem, target)) << problem_key(problem);
        strided += problem.zero_upsample ? 1 : 0;
      }
    }
    EXPECT_GT(strided, 6);
    EXPECT_EQ(last_kernel(), "");
  });
}

TEST_F(NetworkPlans, OfWeightGradientsExistForEveryConvolution) {
  for_every_card([&](const PlanTarget& target) {
    forget_kernel();
    for (const int batch : kPixels.batches) {
      for (const ConvolutionProblem& problem : read_network_shapes(kPixels.shapes, batch).convolutions) {
        // Some engines lay all of a large map out once more.
        constexpr std::int64_t kWorkspace = std::int64_t{256} << 20;
        EXPECT_NO_THROW(WeightGradient(library(), problem, target, kWorkspace)) << problem_key(problem);
        if (batch > 1) continue;
        EXPECT_TRUE(is_hopper(WeightGradient(library(), problem, target).choice())) << problem_key(problem);
      }
    }
    EXPECT_EQ(last_kernel(), "");
  });
}

TEST_F(NetworkPlans, OfAttentionExistUpToTheWidestHead) {
  for_every_card([&](const PlanTarget& target) {
    int crossed = 0;
    const auto plan = [&](const std::vector<AttentionProblem>& problems) {
      ASSERT_GE(problems.size(), 4U);
      for (const AttentionProblem& problem : problems) {
        const auto make = [&] { const Attention made(library(), problem, target); };
        if (problem.width <= kWidestOfCudnn) {
          EXPECT_NO_THROW(make()) << problem_key(problem);
        } else {
          EXPECT_THROW(make(), Error) << problem_key(problem);
        }
        crossed += problem.query_tokens != problem.key_tokens ? 1 : 0;
      }
    };
    for (const int batch : kPixels.batches) plan(read_network_shapes(kPixels.shapes, batch).attentions);
    plan(read_network_shapes(kLatents.shapes, kLatents.batches.front()).attentions);
    EXPECT_EQ(crossed, 4);
  });
}

TEST_F(NetworkPlans, OfProductsOfTokensCanJoinWhatFollows) {
  for_every_card([&](const PlanTarget& target) {
    std::set<unsigned> seen;
    for (const ConvolutionProblem& problem : read_network_shapes(kLatents.shapes, 2).convolutions) {
      const unsigned wanted = wanted_parts(problem);
      // A kernel is compiled for each, which takes seconds.
      if (problem.kernel != 1 || wanted == 0 || !seen.insert(wanted).second) continue;
      const auto found = find_candidates(library(), problem, {.target = target, .joined = wanted});
      EXPECT_EQ(found.front().parts, wanted) << problem_key(problem);
    }
    EXPECT_EQ(seen, (std::set<unsigned>{kPartBias, kPartBias | kPartResidual}));
  });
}

}  // namespace
}  // namespace dpm::cuda
