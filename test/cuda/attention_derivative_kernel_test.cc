// Test of the kernels of attention's derivative against plain loops in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include "cuda/kernels/attention_derivative.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

struct Shape {
  int batch;
  int heads;
  int tokens;
  int width;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  // Shapes with one lane per token, several, all; few channels of a lane and many; odd numbers of tokens.
  constexpr Shape kCorners[] = {{1, 1, 1, 1},   {1, 1, 3, 1024}, {1, 2, 2, 1023}, {33, 1, 2, 8},  {2, 3, 7, 5},
                                {1, 1, 129, 4}, {1, 2, 16, 8},   {1, 1, 9, 512},  {1, 1, 5, 256}, {1, 1, 4, 257},
                                {2, 2, 33, 64}, {1, 2, 5, 160},  {1, 1, 7, 129},  {1, 4, 25, 40}, {1, 2, 65, 16}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int unit = random.between(0, 1) == 1 ? 8 : 1;
  return {random.between(1, 2), random.between(1, 3), random.between(1, 20),
          random.between(1, unit == 8 ? 6 : 30) * unit};
}

/// A square matrix of one head, by tokens.
class Matrix {
 public:
  explicit Matrix(int tokens)
      : tokens_(tokens), values_(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(tokens)) {}
  double& at(int row, int column) {
    return values_[static_cast<std::size_t>(row) * static_cast<std::size_t>(tokens_) +
                   static_cast<std::size_t>(column)];
  }

  /// Subtracts from each element the mean of its row, weighted by `weights`, and multiplies it by its weight.
  void centre(Matrix& weights) {
    for (int i = 0; i < tokens_; ++i) {
      double mean = 0;
      for (int j = 0; j < tokens_; ++j) mean += weights.at(i, j) * at(i, j);
      for (int j = 0; j < tokens_; ++j) at(i, j) = weights.at(i, j) * (at(i, j) - mean);
    }
  }

 private:
  int tokens_;
  std::vector<double> values_;
};

/// Tokens of either side; queries and keys of different numbers are cases of the operation.
template <typename T>
int tokens_of(const cuda::AttentionBackwardArguments<T>& a) {
  return a.queries;
}
template <typename T>
int tokens_of(const cuda::AttentionTangentArguments<T>& a) {
  return a.tokens;
}
template <typename T>
bool is_causal(const cuda::AttentionBackwardArguments<T>& a) {
  return a.causal;
}
template <typename T>
bool is_causal(const cuda::AttentionTangentArguments<T>& /*a*/) {
  return false;
}

/// Computes products of the tokens of two maps in one head.
template <typename T, typename Arguments>
Matrix products(const Arguments& a, const cuda::Map<const T>& rows, const cuda::Map<const T>& columns, int n,
                int head) {
  const int tokens = tokens_of(a);
  Matrix result(tokens);
  for (int i = 0; i < tokens; ++i) {
    for (int j = 0; j < tokens; ++j) {
      for (int c = head * a.width; c < (head + 1) * a.width; ++c) {
        result.at(i, j) += value_of(rows, n, i, c) * value_of(columns, n, j, c);
      }
    }
  }
  return result;
}

template <typename T, typename Arguments>
Matrix weights_of(const Arguments& a, int n, int head) {
  Matrix weights = products<T>(a, a.q, a.k, n, head);
  const int tokens = tokens_of(a);
  for (int i = 0; i < tokens; ++i) {
    const int keys = is_causal(a) ? i + 1 : tokens;
    double largest = -std::numeric_limits<double>::infinity();
    for (int j = 0; j < keys; ++j) largest = std::max(largest, static_cast<double>(a.scale) * weights.at(i, j));
    double sum = 0;
    for (int j = 0; j < tokens; ++j) {
      const double logit = static_cast<double>(a.scale) * weights.at(i, j);
      sum += weights.at(i, j) = j < keys ? std::exp(logit - largest) : 0.0;
    }
    for (int j = 0; j < keys; ++j) weights.at(i, j) /= sum;
  }
  return weights;
}

/// Common part of both directions: the maps, of which the written ones lie side by side.
template <typename T>
struct Maps {
  explicit Maps(std::uint32_t seed)
      : random(seed),
        shape(shape_of(random, seed)),
        unit(random.between(0, 1) == 1 ? 8 : 1),
        q(any_map(1)),
        k(any_map(1)),
        v(any_map(1)),
        first(any_map(1)),
        second(any_map(1)),
        third(any_map(1)),
        out(any_map(3)),
        before(out.values()) {}

  WideMap<T> any_map(int parts) {
    return random_map<T>(random, shape.batch, shape.tokens, parts * shape.heads * shape.width, unit);
  }

  template <typename Arguments>
  void fill(Arguments& a) {
    a.q = q.input();
    a.k = k.input();
    a.v = v.input();
    a.batch = shape.batch;
    a.heads = shape.heads;
    a.width = shape.width;
    // Large scales give scores that leave all keys but a few without weight.
    a.scale = static_cast<float>(random.between(1, 3)) / std::sqrt(static_cast<float>(shape.width));
  }

  RandomValues random;
  Shape shape;
  int unit;
  WideMap<T> q, k, v, first, second, third, out;
  DeviceVector<T> before;
};

template <typename T>
struct BackwardCase : Maps<T> {
  explicit BackwardCase(std::uint32_t seed) : Maps<T>(seed) {
    this->fill(arguments);
    arguments.queries = arguments.keys = this->shape.tokens;
    arguments.causal = seed % 3 == 1;
    const int channels = this->shape.heads * this->shape.width;
    arguments.d = this->first.input();
    arguments.dq = this->out.map();
    arguments.dk = arguments.dq;
    arguments.dk.data += channels;
    arguments.dv = arguments.dk;
    arguments.dv.data += channels;
    workspace.resize(static_cast<std::size_t>(
        cuda::attention_backward_workspace(this->shape.batch, this->shape.heads, this->shape.tokens)));
    std::fill(workspace.begin(), workspace.end(), std::numeric_limits<float>::quiet_NaN());
    arguments.workspace = workspace.data();
  }

  DeviceVector<T> run() {
    this->out.values() = this->before;
    cuda::attention_backward(arguments, nullptr);
    synchronize();
    return this->out.values();
  }

  /// Runs the kernels on every sample as a batch of its own.
  DeviceVector<T> run_one_by_one() {
    this->out.values() = this->before;
    cuda::AttentionBackwardArguments<T> a = arguments;
    a.batch = 1;
    for (int n = 0; n < arguments.batch; ++n) {
      cuda::attention_backward(a, nullptr);
      for (auto* map : {&a.q, &a.k, &a.v, &a.d}) map->data += map->sample_stride;
      for (auto* map : {&a.dq, &a.dk, &a.dv}) map->data += map->sample_stride;
    }
    synchronize();
    return this->out.values();
  }

  DeviceVector<float> workspace;
  cuda::AttentionBackwardArguments<T> arguments{};
};

template <typename T>
struct TangentCase : Maps<T> {
  explicit TangentCase(std::uint32_t seed) : Maps<T>(seed) {
    this->fill(arguments);
    arguments.tokens = this->shape.tokens;
    arguments.tq = this->first.input();
    arguments.tk = this->second.input();
    arguments.tv = this->third.input();
    arguments.out = this->out.map();
  }

  DeviceVector<T> run() {
    this->out.values() = this->before;
    cuda::attention_tangent(arguments, nullptr);
    synchronize();
    return this->out.values();
  }

  cuda::AttentionTangentArguments<T> arguments{};
};

/// Calls `body(n, head)` for all heads.
template <typename Arguments, typename Body>
void for_heads(const Arguments& a, const Body& body) {
  for (int n = 0; n < a.batch; ++n) {
    for (int head = 0; head < a.heads; ++head) body(n, head);
  }
}

template <typename T>
std::vector<float> expected_of(BackwardCase<T>& test) {
  const auto& a = test.arguments;
  std::vector<float> result = floats(test.before);
  const int channels = a.heads * a.width;
  for_heads(a, [&](int n, int head) {
    Matrix weights = weights_of<T>(a, n, head);
    Matrix s = products<T>(a, a.d, a.v, n, head);
    s.centre(weights);
    for (int i = 0; i < a.queries; ++i) {
      for (int c = head * a.width; c < (head + 1) * a.width; ++c) {
        double dq = 0;
        double dk = 0;
        double dv = 0;
        for (int j = 0; j < a.keys; ++j) {
          dq += static_cast<double>(a.scale) * s.at(i, j) * value_of(a.k, n, j, c);
          dk += static_cast<double>(a.scale) * s.at(j, i) * value_of(a.q, n, j, c);
          dv += weights.at(j, i) * value_of(a.d, n, j, c);
        }
        result[test.out.index(n, i, c)] = static_cast<float>(dq);
        result[test.out.index(n, i, channels + c)] = static_cast<float>(dk);
        result[test.out.index(n, i, 2 * channels + c)] = static_cast<float>(dv);
      }
    }
  });
  return result;
}

template <typename T>
std::vector<float> expected_of(TangentCase<T>& test) {
  const auto& a = test.arguments;
  std::vector<float> result = floats(test.before);
  for_heads(a, [&](int n, int head) {
    Matrix weights = weights_of<T>(a, n, head);
    Matrix s = products<T>(a, a.tq, a.k, n, head);
    Matrix more = products<T>(a, a.q, a.tk, n, head);
    for (int i = 0; i < a.tokens; ++i) {
      for (int j = 0; j < a.tokens; ++j) {
        s.at(i, j) = static_cast<double>(a.scale) * (s.at(i, j) + more.at(i, j));
      }
    }
    s.centre(weights);
    for (int i = 0; i < a.tokens; ++i) {
      for (int c = head * a.width; c < (head + 1) * a.width; ++c) {
        double sum = 0;
        for (int j = 0; j < a.tokens; ++j) {
          sum += s.at(i, j) * value_of(a.v, n, j, c) + weights.at(i, j) * value_of(a.tv, n, j, c);
        }
        result[test.out.index(n, i, c)] = static_cast<float>(sum);
      }
    }
  });
  return result;
}

TEST(CudaAttentionBackward, Float32AgreesWithAPlainLoop) { check_cases<BackwardCase<float>>(kShapes, 2e-5); }
TEST(CudaAttentionBackward, HalfAgreesWithAPlainLoop) { check_cases<BackwardCase<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaAttentionBackward, Bfloat16AgreesWithAPlainLoop) { check_cases<BackwardCase<cuda::Bfloat16>>(kShapes, 8e-3); }

TEST(CudaAttentionTangent, Float32AgreesWithAPlainLoop) { check_cases<TangentCase<float>>(kShapes, 2e-5); }
TEST(CudaAttentionTangent, HalfAgreesWithAPlainLoop) { check_cases<TangentCase<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaAttentionTangent, Bfloat16AgreesWithAPlainLoop) { check_cases<TangentCase<cuda::Bfloat16>>(kShapes, 8e-3); }

TEST(CudaAttentionBackward, LargeScoresDoNotOverflow) {
  for (const int sign : {1, -1}) {
    BackwardCase<float> test(10);
    test.arguments.scale = static_cast<float>(sign) * 300.0F;
    for (float& value : test.q.values()) value = 1.0F + std::abs(value);
    for (float& value : test.k.values()) value = 1.0F + std::abs(value);
    for (const float value : floats(test.run())) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST(CudaAttentionBackward, ASampleGetsTheSameBitsInEveryBatch) {
  for (std::uint32_t seed = 0; seed < kShapes / 4; ++seed) {
    BackwardCase<cuda::Bfloat16> test(seed);
    const DeviceVector<cuda::Bfloat16> together = test.run();
    const DeviceVector<cuda::Bfloat16> alone = test.run_one_by_one();
    ASSERT_EQ(std::memcmp(together.data(), alone.data(), together.size() * sizeof together[0]), 0) << "shape " << seed;
  }
}

}  // namespace
}  // namespace dpm::test
