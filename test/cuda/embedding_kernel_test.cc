// Test of embedding kernels against std::sin and std::cos in double, and against the table.
#include <gtest/gtest.h>

#include <cmath>
#include <iterator>

#include "cuda/kernels/embedding.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

struct Shape {
  int batch;
  int length;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  constexpr Shape kCorners[] = {{1, 1}, {1, 2}, {1, 4096}, {65, 8}, {65, 3}, {2, 1025}, {1, 4095}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  return {random.between(1, 5), random.between(1, 3) == 1 ? 8 * random.between(1, 40) : random.between(1, 320)};
}

/// A case whose rows of y have other elements between them.
template <typename T>
struct Case {
  explicit Case(std::uint32_t seed) : random(seed), shape(shape_of(random, seed)) {
    stride = shape.length + (random.between(0, 1) == 1 ? 8 : 3);
    y = stored<T>(random.normals(static_cast<std::size_t>(shape.batch) * static_cast<std::size_t>(stride)));
  }

  T* row(int n) { return y.data() + n * stride; }

  RandomValues random;
  Shape shape;
  std::int64_t stride = 0;
  DeviceVector<T> y;
};

template <typename T>
struct TimeCase : Case<T> {
  explicit TimeCase(std::uint32_t seed) : Case<T>(seed) {
    const auto half = static_cast<std::size_t>(this->shape.length / 2);
    time = stored<float>(this->random.normals(static_cast<std::size_t>(this->shape.batch), 500.0F, 500.0F));
    // Some angles are as large as 1e5.
    const float largest = this->random.between(0, 3) == 0 ? 40.0F : 1.0F;
    frequencies = DeviceVector<float>(half);
    for (std::size_t i = 0; i < half; ++i) {
      frequencies[i] = largest * std::exp(-9.21F * static_cast<float>(i) / static_cast<float>(half));
    }
    arguments = {{time.data(), nullptr},
                 frequencies.data(),
                 this->y.data(),
                 this->stride,
                 this->shape.batch,
                 this->shape.length,
                 this->random.between(0, 1) == 1};
  }

  DeviceVector<float> time, frequencies;
  cuda::TimeEmbeddingArguments<T> arguments{};
};

template <typename T>
std::vector<float> expected_of(TimeCase<T>& test) {
  const cuda::TimeEmbeddingArguments<T>& a = test.arguments;
  DeviceVector<T> result = test.y;
  const int half = a.length / 2;
  for (int n = 0; n < a.batch; ++n) {
    T* row = result.data() + n * a.y_stride;
    for (int i = 0; i < half; ++i) {
      const float angle = a.time[n] * a.frequencies[i];
      const auto sine = cuda::from_float<T>(static_cast<float>(std::sin(static_cast<double>(angle))));
      const auto cosine = cuda::from_float<T>(static_cast<float>(std::cos(static_cast<double>(angle))));
      row[i] = a.cosine_first ? cosine : sine;
      row[half + i] = a.cosine_first ? sine : cosine;
    }
    if (a.length % 2 == 1) row[2 * half] = cuda::from_float<T>(0);
  }
  return floats(result);
}

template <typename T>
void check_times(double tolerance) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      TimeCase<T> test(seed);
      const std::vector<float> expected = expected_of(test);
      cuda::time_embedding(test.arguments, nullptr);
      synchronize();
      const std::vector<float> actual = floats(test.y);
      for (std::size_t i = 0; i < actual.size(); ++i) {
        ASSERT_NEAR(actual[i], expected[i], tolerance) << "shape " << seed << ", order " << order << ", element " << i;
      }
    }
  }
}

TEST(CudaTimeEmbedding, Float32AgreesWithDouble) { check_times<float>(2e-7); }
TEST(CudaTimeEmbedding, HalfAgreesWithDouble) { check_times<cuda::Half>(5e-4); }
TEST(CudaTimeEmbedding, Bfloat16AgreesWithDouble) { check_times<cuda::Bfloat16>(4e-3); }

TEST(CudaTimeEmbedding, AnglesUpToAHundredThousandAreExact) {
  constexpr int kAngles = 100001;
  RandomValues random(1);
  DeviceVector<float> frequencies = stored<float>(random.normals(kAngles, 3e4F));
  const DeviceVector<float> one(1, 1.0F);
  DeviceVector<float> y(2 * kAngles);
  cuda::time_embedding<float>({{one.data(), nullptr}, frequencies.data(), y.data(), 2 * kAngles, 1, 2 * kAngles, false},
                              nullptr);
  synchronize();
  double error = 0;
  for (std::size_t i = 0; i < kAngles; ++i) {
    const auto angle = static_cast<double>(frequencies[i]);
    error = std::max(error, std::abs(static_cast<double>(y[i]) - std::sin(angle)));
    error = std::max(error, std::abs(static_cast<double>(y[kAngles + i]) - std::cos(angle)));
  }
  EXPECT_LT(error, 1e-7);
}

TEST(CudaTimeEmbedding, ATimeThatIsNoNumberStaysNone) {
  const DeviceVector<float> time(1, std::nanf(""));
  const DeviceVector<float> frequencies(1, 1.0F);
  DeviceVector<float> y(2);
  cuda::time_embedding<float>({{time.data(), nullptr}, frequencies.data(), y.data(), 2, 1, 2, false}, nullptr);
  synchronize();
  EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]));
}

template <typename T>
void check_rows() {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      Case<T> test(seed);
      const int rows = test.random.between(1, 10);
      const int channels = test.shape.length;
      const auto table =
          stored<T>(test.random.normals(static_cast<std::size_t>(rows) * static_cast<std::size_t>(channels)));
      DeviceVector<std::int32_t> labels;
      DeviceVector<float> times;
      for (int n = 0; n < test.shape.batch; ++n) {
        labels.push_back(test.random.between(-2, rows + 1));
        times.push_back(static_cast<float>(labels.back()) + 0.25F * static_cast<float>(test.random.between(0, 3)));
      }
      const bool labelled = test.random.between(0, 7) > 0;
      const bool timed = test.random.between(0, 1) > 0;
      std::vector<float> expected = floats(test.y);
      for (int n = 0; n < test.shape.batch; ++n) {
        const int label = labelled ? labels[static_cast<std::size_t>(n)] : -1;
        const int row = timed ? static_cast<int>(std::trunc(times[static_cast<std::size_t>(n)])) : label;
        const bool known = row >= 0 && row < rows;
        for (int c = 0; c < channels; ++c) {
          expected[static_cast<std::size_t>(n * test.stride + c)] =
              known ? static_cast<float>(value_of(table.data(), row * channels + c)) : 0.0F;
        }
      }
      cuda::row_embedding<T>({{timed ? times.data() : nullptr, labelled ? labels.data() : nullptr},
                              table.data(),
                              test.y.data(),
                              test.stride,
                              test.shape.batch,
                              rows,
                              channels},
                             nullptr);
      synchronize();
      ASSERT_EQ(floats(test.y), expected) << "shape " << seed << ", order " << order;
    }
  }
}

TEST(CudaRowEmbedding, Float32IsTheTable) { check_rows<float>(); }
TEST(CudaRowEmbedding, HalfIsTheTable) { check_rows<cuda::Half>(); }
TEST(CudaRowEmbedding, Bfloat16IsTheTable) { check_rows<cuda::Bfloat16>(); }

template <typename T>
void check_table_gradients() {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      Case<T> test(seed);
      const int rows = test.random.between(1, 4);
      const int channels = test.shape.length;
      // Elements behind the table stay as they are.
      auto sum =
          stored<float>(test.random.normals(static_cast<std::size_t>(rows) * static_cast<std::size_t>(channels) + 3));
      DeviceVector<std::int32_t> labels;
      for (int n = 0; n < test.shape.batch; ++n) labels.push_back(test.random.between(-2, rows + 1));
      const bool labelled = test.random.between(0, 7) > 0;
      std::vector<float> expected = floats(sum);
      for (int n = 0; n < test.shape.batch; ++n) {
        const int label = labelled ? labels[static_cast<std::size_t>(n)] : -1;
        if (label < 0 || label >= rows) continue;
        for (int c = 0; c < channels; ++c) {
          expected[static_cast<std::size_t>(std::int64_t{label} * channels + c)] += cuda::to_float(test.row(n)[c]);
        }
      }
      cuda::table_gradient<T>({{nullptr, labelled ? labels.data() : nullptr},
                               test.y.data(),
                               test.stride,
                               sum.data(),
                               test.shape.batch,
                               rows,
                               channels},
                              nullptr);
      synchronize();
      ASSERT_EQ(floats(sum), expected) << "shape " << seed << ", order " << order;
    }
  }
}

TEST(CudaTableGradient, Float32IsThatOfAPlainLoop) { check_table_gradients<float>(); }
TEST(CudaTableGradient, HalfIsThatOfAPlainLoop) { check_table_gradients<cuda::Half>(); }
TEST(CudaTableGradient, Bfloat16IsThatOfAPlainLoop) { check_table_gradients<cuda::Bfloat16>(); }

/// Computes 1 for the label and 0 for others, minus softmax in double.
template <typename T>
std::vector<float> expected_scores(const DeviceVector<T>& x, const DeviceVector<std::int32_t>* labels,
                                   const Shape& shape, std::int64_t stride, std::vector<float> result) {
  const int classes = shape.length;
  for (int n = 0; n < shape.batch; ++n) {
    const auto logit = [&](int k) { return value_of(x.data(), n * stride + k); };
    double largest = logit(0);
    for (int k = 1; k < classes; ++k) largest = std::max(largest, logit(k));
    double sum = 0;
    for (int k = 0; k < classes; ++k) sum += std::exp(logit(k) - largest);
    const int label = labels == nullptr ? -1 : (*labels)[static_cast<std::size_t>(n)];
    const bool known = label >= 0 && label < classes;
    for (int k = 0; k < classes; ++k) {
      const double score = (k == label ? 1.0 : 0.0) - std::exp(logit(k) - largest) / sum;
      result[static_cast<std::size_t>(n * stride + k)] = static_cast<float>(known ? score : 0.0);
    }
  }
  return result;
}

template <typename T>
void check_scores(double tolerance) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      Case<T> test(seed);
      const auto elements = static_cast<std::size_t>(test.shape.batch) * static_cast<std::size_t>(test.stride);
      const auto x = stored<T>(test.random.normals(elements, 4));
      DeviceVector<std::int32_t> labels;
      for (int n = 0; n < test.shape.batch; ++n) labels.push_back(test.random.between(-2, test.shape.length + 1));
      const bool labelled = test.random.between(0, 7) > 0;
      const std::vector<float> expected =
          expected_scores(x, labelled ? &labels : nullptr, test.shape, test.stride, floats(test.y));
      cuda::label_score<T>({{nullptr, labelled ? labels.data() : nullptr},
                            x.data(),
                            test.stride,
                            test.y.data(),
                            test.stride,
                            test.shape.batch,
                            test.shape.length},
                           nullptr);
      synchronize();
      const std::vector<float> found = floats(test.y);
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_NEAR(found[i], expected[i], tolerance) << "shape " << seed << ", order " << order << ", element " << i;
      }
    }
  }
}

TEST(CudaLabelScore, Float32AgreesWithDouble) { check_scores<float>(1e-6); }
TEST(CudaLabelScore, HalfAgreesWithDouble) { check_scores<cuda::Half>(5e-4); }
TEST(CudaLabelScore, Bfloat16AgreesWithDouble) { check_scores<cuda::Bfloat16>(4e-3); }

}  // namespace
}  // namespace dpm::test
