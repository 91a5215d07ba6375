// Attention on random maps, and its result in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "cuda/kernels/attention.h"
#include "kernel_case.h"

namespace dpm::test {

struct AttentionShape {
  int batch;
  int heads;
  int queries;
  int keys;
  int width;
};

template <typename T>
struct AttentionCase {
  /// Makes a case whose maps' channels begin at a multiple of `unit`.
  AttentionCase(const AttentionShape& shape, RandomValues& random, int unit)
      : q(random_map<T>(random, shape.batch, shape.queries, shape.heads * shape.width, unit)),
        k(random_map<T>(random, shape.batch, shape.keys, shape.heads * shape.width, unit)),
        v(random_map<T>(random, shape.batch, shape.keys, shape.heads * shape.width, unit)),
        out(random_map<T>(random, shape.batch, shape.queries, shape.heads * shape.width, unit)),
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
    // Large scales give scores that leave all keys but a few without weight.
    arguments.scale = static_cast<float>(random.between(1, 4)) / std::sqrt(static_cast<float>(shape.width));
  }

  /// Runs the kernel; returns the whole map.
  DeviceVector<T> run() {
    out.values() = before;
    cuda::attention(arguments, nullptr);
    synchronize();
    return out.values();
  }

  /// Runs the kernel on every sample as a batch of its own.
  DeviceVector<T> run_one_by_one() {
    out.values() = before;
    cuda::AttentionArguments<T> a = arguments;
    a.batch = 1;
    for (int n = 0; n < arguments.batch; ++n) {
      cuda::attention(a, nullptr);
      a.q.data += a.q.sample_stride;
      a.k.data += a.k.sample_stride;
      a.v.data += a.v.sample_stride;
      a.out.data += a.out.sample_stride;
    }
    synchronize();
    return out.values();
  }

  WideMap<T> q, k, v, out;
  DeviceVector<T> before;
  cuda::AttentionArguments<T> arguments{};
};

/// Computes the weights of the keys for one query.
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

struct AttentionReference {
  std::vector<float> result;       ///< the whole map that is expected
  std::vector<double> magnitudes;  ///< sum of |weight * value| for the same elements; zero for elements that stay
                                   ///< unchanged
  std::vector<double> values;      ///< sum of |value|
};

template <typename T>
AttentionReference reference_of(const AttentionCase<T>& test) {
  const cuda::AttentionArguments<T>& a = test.arguments;
  AttentionReference reference;
  reference.result = floats(test.before);
  reference.magnitudes.resize(reference.result.size());
  reference.values.resize(reference.result.size());
  for (int n = 0; n < a.batch; ++n) {
    for (int head = 0; head < a.heads; ++head) {
      for (int query = 0; query < a.query_tokens; ++query) {
        const std::vector<double> weights = softmax_of(a, n, head, query);
        for (int c = head * a.width; c < (head + 1) * a.width; ++c) {
          const std::size_t at = test.out.index(n, query, c);
          double sum = 0;
          for (int key = 0; key < a.key_tokens; ++key) {
            const double value = value_of(a.v, n, key, c);
            sum += weights[key] * value;
            reference.magnitudes[at] += weights[key] * std::abs(value);
            reference.values[at] += std::abs(value);
          }
          reference.result[at] = static_cast<float>(sum);
        }
      }
    }
  }
  return reference;
}

/// Computes the whole map that is expected.
template <typename T>
std::vector<float> expected_of(const AttentionCase<T>& test) {
  return reference_of(test).result;
}

}  // namespace dpm::test
