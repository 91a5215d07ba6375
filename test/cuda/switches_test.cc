#include "cuda/runtime/switches.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "scoped_environment.h"

namespace dpm::cuda {
namespace {

Switches with(const char* name, const char* value) {
  const test::ScopedEnvironment chosen(name, value);
  return read_switches();
}

TEST(Switches, AreSetToRunFastWhereNobodySaysOtherwise) {
  for (const char* value : {"", "on", "1"}) {
    EXPECT_TRUE(with("DPM_CUDNN", value).cudnn);
    EXPECT_TRUE(with("DPM_CUDNN_ATTENTION", value).cudnn_attention);
    EXPECT_TRUE(with("DPM_CUDA_GRAPHS", value).graphs);
    EXPECT_TRUE(with("DPM_CUDA_SMALL", value).small_convolutions);
    EXPECT_TRUE(with("DPM_CUDA_COMPLETE", value).completions);
    EXPECT_TRUE(with("DPM_CUDA_PREDICT", value).predictions);
  }
  const Switches usual = read_switches();
  EXPECT_FALSE(usual.print_plans);
  EXPECT_FALSE(usual.synchronise);
  EXPECT_EQ(usual.cudnn_parts, std::nullopt);
}

TEST(Switches, AreReadOneByOne) {
  for (const char* value : {"off", "0"}) {
    EXPECT_FALSE(with("DPM_CUDNN", value).cudnn);
    EXPECT_FALSE(with("DPM_CUDNN_ATTENTION", value).cudnn_attention);
    EXPECT_FALSE(with("DPM_CUDA_GRAPHS", value).graphs);
    EXPECT_FALSE(with("DPM_CUDA_SMALL", value).small_convolutions);
    EXPECT_FALSE(with("DPM_CUDA_COMPLETE", value).completions);
    EXPECT_FALSE(with("DPM_CUDA_PREDICT", value).predictions);
    EXPECT_TRUE(with("DPM_CUDA_GRAPHS", value).cudnn);
    EXPECT_FALSE(with("DPM_CUDNN_PRINT", value).print_plans);
    EXPECT_FALSE(with("DPM_CUDA_SYNC", value).synchronise);
  }
  EXPECT_TRUE(with("DPM_CUDNN_PRINT", "1").print_plans);
  EXPECT_TRUE(with("DPM_CUDA_SYNC", "on").synchronise);
  EXPECT_EQ(with("DPM_CUDNN_PARTS", "0").cudnn_parts, 0U);
  EXPECT_EQ(with("DPM_CUDNN_PARTS", "15").cudnn_parts, 15U);
}

TEST(Switches, ThatMeanNothingAreRefusedByName) {
  for (const auto& [name, value] : {std::pair{"DPM_CUDNN", "no"},
                                    {"DPM_CUDA_SYNC", "2"},
                                    {"DPM_CUDNN_PARTS", "16"},
                                    {"DPM_CUDNN_PARTS", "-1"},
                                    {"DPM_CUDNN_PARTS", "3x"}}) {
    try {
      with(name, value);
      ADD_FAILURE() << name << "=" << value;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kArgument);
      EXPECT_NE(std::string(error.what()).find(std::string(name) + " is '" + value + "'"), std::string::npos)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace dpm::cuda
