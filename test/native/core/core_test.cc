// Test of Philox, normals, scalar functions, half precision, medians and the thread pool.
#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "core/dtype.h"
#include "core/fused_multiply_add.h"
#include "core/median.h"
#include "core/philox.h"
#include "core/scalar_math.h"
#include "core/thread_pool.h"

namespace dpm {
namespace {

TEST(Philox, KnownAnswers) {
  const PhiloxWords zero = philox4x32(0, 0, 0, 0, 0, 0);
  EXPECT_EQ(zero.word[0], 0x6627e8d5u);
  EXPECT_EQ(zero.word[1], 0xe169c58du);
  EXPECT_EQ(zero.word[2], 0xbc57ac4cu);
  EXPECT_EQ(zero.word[3], 0x9b00dbd8u);
  const PhiloxWords ones = philox4x32(~0u, ~0u, ~0u, ~0u, ~0u, ~0u);
  EXPECT_EQ(ones.word[0], 0x408f276du);
  EXPECT_EQ(ones.word[1], 0x41c83b0eu);
  EXPECT_EQ(ones.word[2], 0xa20bc7c6u);
  EXPECT_EQ(ones.word[3], 0x6d5451fdu);
}

TEST(Median, IsTheValueInTheMiddle) {
  EXPECT_EQ(median({5}), 5);
  EXPECT_EQ(median({9, 1, 4}), 4);
  EXPECT_EQ(median({1, 100, 3, 2}), 3);
  EXPECT_EQ(median({7, 7, 1, 7, 0}), 7);
}

TEST(Philox, LogarithmIsAccurateEverywhere) {
  std::vector<std::uint32_t> words = {0,           1,           2,   0xB504F332u, 0xB504F333u,
                                      0x7FFFFFFFu, 0x80000000u, ~0u, ~0u - 1,     ~0u - 99};
  for (std::uint32_t i = 0; i < 200000; ++i) words.push_back(i * 2654435761u);
  for (const std::uint32_t word : words) {
    const double exact = -std::log((word + 0.5) * 0x1p-32);
    EXPECT_NEAR(negative_log_uniform(word) / exact, 1.0, 5e-7) << word;
  }
}

TEST(Philox, BoxMullerAgreesWithDouble) {
  for (std::uint32_t i = 0; i < 100000; ++i) {
    const std::uint32_t word0 = i * 2246822519u;
    const std::uint32_t word1 = i * 3266489917u + 7;
    float cosine = 0;
    float sine = 0;
    box_muller(word0, word1, &cosine, &sine);
    const double radius = std::sqrt(-2 * std::log((word0 + 0.5) * 0x1p-32));
    const double angle = 6.283185307179586 * ((word1 + 0.5) * 0x1p-32);
    ASSERT_NEAR(cosine, radius * std::cos(angle), 2e-6);
    ASSERT_NEAR(sine, radius * std::sin(angle), 2e-6);
  }
}

TEST(FusedMultiplyAdd, InDoubleIsTheProcessors) {
  const auto expect_equal = [](float a, float b, float c) {
    const float expected = std::fma(a, b, c);
    ASSERT_EQ(math::fused_multiply_add_in_double(a, b, c), expected) << a << " * " << b << " + " << c;
    ASSERT_EQ(math::fused_multiply_add(a, b, c), expected) << a << " * " << b << " + " << c;
  };
  for (std::uint32_t i = 0; i < 200000; ++i) {
    const PhiloxWords words = philox4x32(i, 0, 0, 0, 1, 2);
    float values[3];
    for (int j = 0; j < 3; ++j) {
      // Exponents that differ by up to 47, so that each term may be the rest of the other.
      values[j] = std::ldexp(static_cast<float>(static_cast<std::int32_t>(words.word[j])) * 0x1p-31F,
                             static_cast<int>(words.word[3] >> (8 * j) & 31u) - 16);
    }
    expect_equal(values[0], values[1], values[2]);
  }
}

TEST(FusedMultiplyAdd, RoundsOnceWhereADoubleLiesHalfWayBetweenFloats) {
  // The products are 2^24 + 1 and 2^24 + 3, each between two floats: a term that is too small for a double decides.
  struct Case {
    float a;
    float b;
    float below;
    float even;
  };
  constexpr float kPower = 16777216;
  for (const Case& each : {Case{24929, 673, kPower, kPower}, Case{1549, 10831, kPower + 2, kPower + 4}}) {
    for (const float sign : {1.0F, -1.0F}) {
      const auto fused = [&](float c) { return math::fused_multiply_add_in_double(sign * each.a, each.b, sign * c); };
      EXPECT_EQ(fused(-0x1p-60F), sign * each.below);
      EXPECT_EQ(fused(0x1p-60F), sign * (each.below + 2));
      EXPECT_EQ(fused(0), sign * each.even);
    }
  }
}

TEST(ScalarMath, ExpAndSilu) {
  for (float x = -86.0F; x < 87.0F; x += 0.00731F) {
    ASSERT_NEAR(math::exp(x) / std::exp(static_cast<double>(x)), 1.0, 3e-7) << x;
    const double exact = x / (1 + std::exp(-static_cast<double>(x)));
    ASSERT_NEAR(math::silu(x), exact, 4e-7 * std::max(1.0, std::abs(exact))) << x;
  }
  EXPECT_EQ(math::silu(0.0F), 0.0F);
  EXPECT_NEAR(math::silu(-1e4F), 0.0F, 1e-30);
  EXPECT_EQ(math::silu(1e4F), 1e4F);
  EXPECT_TRUE(std::isnan(math::exp(std::nanf(""))));
  EXPECT_TRUE(std::isnan(math::silu(std::nanf(""))));
}

TEST(ScalarMath, Activations) {
  for (float x = -30.0F; x < 90.0F; x += 0.00731F) {
    const auto exact = static_cast<double>(x);
    const double scale = std::max(1.0, std::abs(exact));
    ASSERT_NEAR(math::mish(x), exact * std::tanh(std::log1p(std::exp(exact))), 4e-7 * scale) << x;
    ASSERT_NEAR(math::gelu(x), exact * std::erfc(-exact / std::sqrt(2.0)) / 2, 4e-7 * scale) << x;
    ASSERT_EQ(math::relu(x), std::max(x, 0.0F)) << x;
  }
  for (float (*const function)(float) : {math::mish, math::gelu, math::relu}) {
    EXPECT_EQ(function(0.0F), 0.0F);
    EXPECT_EQ(function(1e30F), 1e30F);
    EXPECT_NEAR(function(-1e4F), 0.0F, 1e-30);
    EXPECT_TRUE(std::isnan(function(std::nanf(""))));
  }
}

TEST(DType, EveryHalfConverts) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = half_to_float(static_cast<std::uint16_t>(bits));
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const int mantissa = static_cast<int>(bits & 1023);
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(value), mantissa != 0);
      continue;
    }
    const double exact = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    ASSERT_EQ(value, (bits & 0x8000) != 0 ? -exact : exact) << bits;
  }
  EXPECT_EQ(bfloat16_to_float(0x3F80), 1.0F);
  EXPECT_EQ(bfloat16_to_float(0xC040), -3.0F);
}

TEST(DType, LoadsUnalignedElements) {
  const unsigned char bytes[] = {0xFF, 0x00, 0x3C, 0x00, 0x40};
  EXPECT_EQ(load_as_float(bytes + 1, DType::kFloat16, 0), 1.0F);
  EXPECT_EQ(load_as_float(bytes + 1, DType::kFloat16, 1), 2.0F);
}

TEST(DType, LoadsRunsOfElementsAsTheyAreOneByOne) {
  // Every number of 16 bits, from an odd address on, and one number more than runs have together. The compiler warns
  // of fewer bytes than as many floats have.
  std::vector<unsigned char> bytes(8 + 4 * 65537);
  for (std::size_t i = 0; i < 65537; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    std::memcpy(bytes.data() + 3 + 2 * i, &bits, sizeof bits);
  }
  for (const DType type : {DType::kFloat16, DType::kBFloat16}) {
    std::vector<float> values(65537 + 1, 7.0F);
    load_as_floats(bytes.data() + 1, type, 1, 65537, values.data());
    for (std::size_t i = 0; i < 65537; ++i) {
      const float expected = load_as_float(bytes.data() + 3, type, i);
      ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected)) << i;
    }
    EXPECT_EQ(values.back(), 7.0F);
  }
  const float floats[] = {1.0F, -2.0F, 3.0F};
  float copied[] = {0.0F, 0.0F, 7.0F};
  load_as_floats(floats, DType::kFloat32, 1, 2, copied);
  EXPECT_EQ(copied[0], -2.0F);
  EXPECT_EQ(copied[1], 3.0F);
  EXPECT_EQ(copied[2], 7.0F);
}

class ThreadPoolTest : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, RunsEveryTaskOnce) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  for (int round = 0; round < 300; ++round) {
    const int tasks = round % 37;
    std::vector<std::atomic<int>> done(static_cast<std::size_t>(tasks));
    pool.parallel_for(tasks, [&](std::int64_t task, int thread) {
      EXPECT_GE(thread, 0);
      EXPECT_LT(thread, GetParam());
      done[static_cast<std::size_t>(task)].fetch_add(1);
    });
    for (const auto& count : done) ASSERT_EQ(count.load(), 1);
  }
}

TEST_P(ThreadPoolTest, WakesSleepingWorkers) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> sum{0};
    pool.parallel_for(1000, [&](std::int64_t task, int /*thread*/) { sum += static_cast<int>(task); });
    EXPECT_EQ(sum.load(), 499500);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 3, 7));

}  // namespace
}  // namespace dpm
