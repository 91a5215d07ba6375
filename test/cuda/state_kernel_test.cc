// Test of copies, sums and the trajectory's table on the emulation against plain loops.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cuda/kernels/state.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

double expected_sum(dpm_reduction kind, const float* a, const float* b, std::uint64_t elements) {
  double result = 0;
  for (std::uint64_t i = 0; i < elements; ++i) {
    const auto x = static_cast<double>(a[i]);
    if (kind == DPM_REDUCE_SUM) result += x;
    if (kind == DPM_REDUCE_SUM_SQUARES) result += x * x;
    if (kind == DPM_REDUCE_DOT) result += x * static_cast<double>(b[i]);
    if (kind == DPM_REDUCE_MAX_ABS) result = std::max(result, std::abs(x));
  }
  return result;
}

struct Reduction {
  explicit Reduction(std::uint32_t seed) : random(seed) {
    arguments.batch = static_cast<std::uint32_t>(random.between(1, seed == 0 ? 65 : 4));
    arguments.elements = static_cast<std::uint64_t>(random.between(1, 3000));
    arguments.kind = static_cast<dpm_reduction>(seed % 4);
    const std::uint64_t stride = arguments.elements + seed % 3;
    a = on_device(random.normals(arguments.batch * stride));
    b = on_device(random.normals(arguments.batch * stride));
    result.resize(arguments.batch);
    arguments.a = {a.data(), stride};
    arguments.b = {b.data(), stride};
    arguments.result = result.data();
  }

  double error() {
    cuda::reduce(arguments, nullptr);
    synchronize();
    double worst = 0;
    for (std::uint32_t n = 0; n < arguments.batch; ++n) {
      const float* x = a.data() + n * arguments.a.stride;
      const float* y = b.data() + n * arguments.b.stride;
      const double wanted = expected_sum(arguments.kind, x, y, arguments.elements);
      worst = std::max(worst, std::abs(result[n] - wanted) / std::max(1.0, std::abs(wanted)));
    }
    return worst;
  }

  RandomValues random;
  cuda::ReduceArguments arguments{};
  DeviceVector<float> a, b;
  DeviceVector<double> result;
};

TEST(CudaReduce, AgreesWithAPlainLoop) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Reduction reduction(seed);
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      ASSERT_LT(reduction.error(), 1e-12) << "shape " << seed << ", order " << order;
    }
  }
}

TEST(CudaReduce, ANaNStaysTheLargest) {
  Reduction reduction(3);
  ASSERT_EQ(reduction.arguments.kind, DPM_REDUCE_MAX_ABS);
  reduction.a[reduction.arguments.elements / 2] = kNaN;
  cuda::reduce(reduction.arguments, nullptr);
  synchronize();
  EXPECT_TRUE(std::isnan(reduction.result[0]));
}

#if defined(DPM_CUDA_EMULATION)
TEST(CudaReduce, AMissingBarrierWouldShow) {
  int noticed = 0;
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Reduction reduction(seed);
    const WithoutBarriers broken;
    noticed += reduction.error() < 1e-12 ? 0 : 1;
  }
  EXPECT_GT(noticed, kShapes / 2);
}
#endif

TEST(CudaGather, CopiesTheChosenRows) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    RandomValues random(seed);
    const auto rows = static_cast<std::uint32_t>(random.between(1, seed == 0 ? 65 : 5));
    const auto elements = static_cast<std::uint64_t>(random.between(1, 900));
    const std::uint64_t stride = elements + seed % 2;
    DeviceVector<float> x = on_device(random.normals(rows * stride));
    DeviceVector<float> y = on_device(random.normals(rows * stride));
    DeviceVector<float> target(rows * stride, kNaN);
    DeviceVector<cuda::UpdateSample> samples(rows);
    for (std::uint32_t j = 0; j < rows; ++j) {
      samples[j].row = rows - 1 - j;
      samples[j].network_row = j;
      samples[j].record.input_scale = 0.5F + static_cast<float>(j);
      samples[j].record.flags = j % 2 == 0 ? 0U : std::uint32_t{DPM_RECORD_READ_Y};
    }
    cuda::gather({rows, elements, samples.data(), {x.data(), stride}, {y.data(), stride}, {target.data(), stride}},
                 nullptr);
    synchronize();
    for (std::uint32_t j = 0; j < rows; ++j) {
      const float* source = (j % 2 == 0 ? x : y).data() + (rows - 1 - j) * stride;
      for (std::uint64_t i = 0; i < stride; ++i) {
        const float found = target[j * stride + i];
        if (i < elements) {
          ASSERT_EQ(found, (0.5F + static_cast<float>(j)) * source[i]) << seed;
        } else {
          ASSERT_TRUE(std::isnan(found)) << "wrote past the row";
        }
      }
    }
  }
}

TEST(CudaLevels, AreThoseOfTheDefinition) {
  for (const std::uint64_t elements : {1U, 2U, 3U, 4U, 5U, 1023U, 1024U, 4099U}) {
    RandomValues random(static_cast<std::uint32_t>(elements));
    DeviceVector<float> values = on_device(random.normals(elements));
    values[0] = kNaN;
    if (elements > 4) {
      values[1] = -1.0F;
      values[2] = 1.0F;
      values[3] = std::numeric_limits<float>::infinity();
      values[4] = 0.0F;
    }
    DeviceVector<std::uint8_t> levels(elements + 1, 77);
    cuda::convert_to_levels(values.data(), levels.data(), elements, nullptr);
    synchronize();
    for (std::uint64_t i = 0; i < elements; ++i) {
      const double exact = std::floor(127.5 * (static_cast<double>(values[i]) + 1) + 0.5);
      const double wanted = std::isnan(exact) ? 0 : std::min(255.0, std::max(0.0, exact));
      ASSERT_EQ(levels[i], static_cast<std::uint8_t>(wanted)) << values[i];
    }
    ASSERT_EQ(levels[elements], 77) << "wrote past the end";
  }
}

}  // namespace
}  // namespace dpm::test
