// Attention kernels on the emulation against a plain loop in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "cuda/kernels/attention.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = 200;

struct Shape {
  int batch;
  int heads;
  int queries;
  int keys;
  int width;
};

constexpr Shape kCorners[] = {
    {1, 1, 1, 1, 1},   {1, 1, 1, 3, 1024}, {1, 2, 1, 2, 1023}, {65, 1, 1, 2, 8},  {2, 3, 7, 1, 5},    {1, 1, 2, 257, 4},
    {1, 2, 5, 16, 8},  {1, 1, 2, 9, 512},  {1, 1, 1, 50, 256}, {2, 2, 1, 33, 64}, {1, 2, 3, 5, 160},  {1, 1, 3, 7, 129},
    {1, 1, 2, 5, 513}, {1, 3, 2, 6, 40},   {1, 1, 2, 129, 2},  {1, 2, 2, 5, 264}, {2, 1, 2, 300, 16},
};

Shape shape_of(std::uint32_t seed, RandomValues& random) {
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int unit = random.between(0, 1) == 1 ? 8 : 1;
  return {random.between(1, 2), random.between(1, 2), random.between(1, 4), random.between(1, 20),
          random.between(1, unit == 8 ? 12 : 50) * unit};
}

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed) : Case(seed, RandomValues(seed)) {}
  Case(std::uint32_t seed, RandomValues random) : Case(shape_of(seed, random), random) {}

  Case(const Shape& shape, RandomValues& random)
      : q(random_map<T>(random, shape.batch, shape.queries, shape.heads * shape.width)),
        k(random_map<T>(random, shape.batch, shape.keys, shape.heads * shape.width)),
        v(random_map<T>(random, shape.batch, shape.keys, shape.heads * shape.width)),
        out(random_map<T>(random, shape.batch, shape.queries, shape.heads * shape.width)),
        before(out.values()) {
    arguments.q = q.input();
    arguments.k = k.input();
    arguments.v = v.input();
    arguments.out = out.map();
    arguments.batch = shape.batch;
    arguments.heads = shape.heads;
    arguments.query_tokens = shape.queries;
    arguments.key_tokens = shape.keys;
    arguments.width = shape.width;
    // Up to scores that leave all keys but a few without weight.
    arguments.scale = static_cast<float>(random.between(1, 4)) / std::sqrt(static_cast<float>(shape.width));
  }

  /// The whole map as the kernel leaves it.
  DeviceVector<T> run() {
    out.values() = before;
    cuda::attention(arguments, nullptr);
    synchronize();
    return out.values();
  }

  WideMap<T> q, k, v, out;
  DeviceVector<T> before;
  cuda::AttentionArguments<T> arguments{};
};

/// The weights of the keys for one query.
template <typename T>
std::vector<double> softmax_of(const cuda::AttentionArguments<T>& a, int n, int head, int query) {
  std::vector<double> weights(static_cast<std::size_t>(a.key_tokens));
  for (int key = 0; key < a.key_tokens; ++key) {
    for (int c = head * a.width; c < (head + 1) * a.width; ++c) {
      weights[key] += static_cast<double>(a.scale) * value_of(a.q, n, query, c) * value_of(a.k, n, key, c);
    }
  }
  const double largest = *std::max_element(weights.begin(), weights.end());
  double sum = 0;
  for (double& weight : weights) sum += weight = std::exp(weight - largest);
  for (double& weight : weights) weight /= sum;
  return weights;
}

/// The whole map as it has to be afterwards.
template <typename T>
std::vector<float> expected_of(const Case<T>& test) {
  const cuda::AttentionArguments<T>& a = test.arguments;
  std::vector<float> result = floats(test.before);
  for (int n = 0; n < a.batch; ++n) {
    for (int head = 0; head < a.heads; ++head) {
      for (int query = 0; query < a.query_tokens; ++query) {
        const std::vector<double> weights = softmax_of(a, n, head, query);
        for (int c = head * a.width; c < (head + 1) * a.width; ++c) {
          double sum = 0;
          for (int key = 0; key < a.key_tokens; ++key) sum += weights[key] * value_of(a.v, n, key, c);
          result[test.out.index(n, query, c)] = static_cast<float>(sum);
        }
      }
    }
  }
  return result;
}

TEST(CudaAttention, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 1e-5); }
TEST(CudaAttention, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaAttention, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

TEST(CudaAttention, LargeScoresDoNotOverflow) {
  RandomValues random(1);
  for (const int sign : {1, -1}) {
    Case<float> test({1, 1, 3, 40, 16}, random);
    test.arguments.scale = static_cast<float>(sign) * 300.0F;
    for (float& value : test.q.values()) value = 1.0F + std::abs(value);
    for (float& value : test.k.values()) value = 1.0F + std::abs(value);
    const std::vector<float> expected = expected_of(test);
    // Scores of tens of thousands in float32 are wrong by hundredths.
    EXPECT_LT(relative_difference(floats(test.run()), expected), 2e-2);
  }
}

TEST(CudaAttention, ASampleGetsTheSameBitsInEveryBatch) {
  for (std::uint32_t seed = 0; seed < kShapes / 4; ++seed) {
    Case<cuda::Bfloat16> test(seed);
    const DeviceVector<cuda::Bfloat16> together = test.run();
    test.out.values() = test.before;
    cuda::AttentionArguments<cuda::Bfloat16> a = test.arguments;
    for (int n = 0; n < test.arguments.batch; ++n) {
      a.batch = 1;
      cuda::attention(a, nullptr);
      a.q.data += a.q.sample_stride;
      a.k.data += a.k.sample_stride;
      a.v.data += a.v.sample_stride;
      a.out.data += a.out.sample_stride;
    }
    synchronize();
    ASSERT_EQ(std::memcmp(together.data(), test.out.values().data(), together.size() * sizeof together[0]), 0)
        << "shape " << seed;
  }
}

}  // namespace
}  // namespace dpm::test
