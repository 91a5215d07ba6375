// Every product of the benchmark networks gets a plan of cuDNN for every card that is described in cards/.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "core/error.h"
#include "cuda/dnn/attention.h"
#include "cuda/dnn/convolution.h"
#include "real_cudnn.h"

namespace dpm::cuda {
namespace {

constexpr int kBatch = 16;
constexpr int kWidestOfCudnn = 256;

struct Shapes {
  std::vector<ConvolutionProblem> convolutions;
  std::vector<AttentionProblem> attentions;
};

ConvolutionProblem read_convolution(std::istream& row) {
  ConvolutionProblem p;
  row >> p.in_channels >> p.in_height >> p.in_width >> p.in_pixel_stride >> p.out_channels >> p.out_height >>
      p.out_width >> p.out_pixel_stride >> p.residual_pixel_stride >> p.kernel >> p.stride >> p.pad_before >>
      p.pad_after >> p.bias >> p.residual >> p.scale >> p.silu;
  p.batch = kBatch;
  p.dtype = DType::kBFloat16;
  return p;
}

AttentionProblem read_attention(std::istream& row) {
  AttentionProblem p;
  row >> p.heads >> p.query_tokens >> p.key_tokens >> p.width >> p.q_token_stride >> p.k_token_stride >>
      p.v_token_stride >> p.out_token_stride >> p.scale;
  p.batch = kBatch;
  p.dtype = DType::kBFloat16;
  return p;
}

/// What `npm run roofline -- --shapes` has written.
Shapes read_shapes() {
  Shapes shapes;
  std::ifstream file(DPM_SOURCE_DIR "/test/cuda/dnn/network_shapes.tsv");
  for (std::string line; std::getline(file, line);) {
    std::istringstream row(line);
    std::string kind;
    row >> kind;
    if (kind == "convolution") shapes.convolutions.push_back(read_convolution(row));
    if (kind == "attention") shapes.attentions.push_back(read_attention(row));
    EXPECT_TRUE(kind == "#" || kind == "kind" || !row.fail()) << line;
  }
  return shapes;
}

class NetworkPlans : public RealCudnn {
 protected:
  void SetUp() override {
    RealCudnn::SetUp();
    if (IsSkipped()) return;
    if (has_driver()) GTEST_SKIP() << "skipped: there is a driver";
    if (library().version < 92800) GTEST_SKIP() << "skipped: the descriptions of cards are those of cuDNN 9.28";
  }
};

TEST_F(NetworkPlans, ExistForEveryCardThatIsDescribed) {
  const Shapes shapes = read_shapes();
  ASSERT_GT(shapes.convolutions.size(), 100U);
  ASSERT_GE(shapes.attentions.size(), 4U);
  int cards = 0;
  for (const auto& entry : std::filesystem::directory_iterator(DPM_SOURCE_DIR "/test/cuda/dnn/cards")) {
    ++cards;
    SCOPED_TRACE(entry.path().filename().string());
    const Descriptor card = make_device(library(), card_json(entry.path().stem().string()));
    const PlanTarget target{nullptr, &card};
    for (const ConvolutionProblem& problem : shapes.convolutions) {
      try {
        const Convolution made(library(), problem, {.target = target, .remembered = {}, .timer = {}});
        EXPECT_EQ(made.left_parts(), 0U) << problem_key(problem);
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
    for (const AttentionProblem& problem : shapes.attentions) {
      const auto make = [&] { const Attention made(library(), problem, target); };
      if (problem.width <= kWidestOfCudnn) {
        EXPECT_NO_THROW(make()) << problem_key(problem);
      } else {
        EXPECT_THROW(make(), Error) << problem_key(problem);
      }
    }
  }
  EXPECT_GE(cards, 1);
}

}  // namespace
}  // namespace dpm::cuda
