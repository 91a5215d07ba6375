// Test of group norm kernels against a plain loop in double.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <new>

#include "cuda/kernels/group_norm.h"
#include "cuda/kernels/group_norm_layout.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

struct Shape {
  int batch;
  int channels;
  int groups;
  int pixels;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  // Shapes with small maps, then maps in chunks, then groups with more channels than a block has threads; even
  // multiples of eight channels use vectors.
  constexpr Shape kCorners[] = {{1, 4096, 32, 1},  {1, 1, 1, 1},     {65, 8, 4, 3},    {2, 33, 3, 49},
                                {1, 96, 32, 100},  {1, 64, 64, 130}, {2, 320, 32, 20}, {1, 40, 2, 220},
                                {1, 32, 4, 700},   {1, 32, 4, 701},  {1, 32, 4, 1601}, {1, 33, 3, 400},
                                {1, 40, 4, 1230},  {1, 40, 4, 701},  {1, 48, 1, 1030}, {1, 7, 7, 1000},
                                {1, 32, 32, 1540}, {1, 4095, 3, 3},  {1, 2056, 8, 3},  {2, 515, 1, 5}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int groups = random.between(1, 8);
  const int channels = groups * (random.between(0, 2) > 0 ? 4 * random.between(1, 6) : random.between(1, 9));
  return {random.between(1, 3), channels, groups, random.between(1, 60)};
}

/// A case of numbers far from zero, whose variance is a small difference of large sums.
template <typename T>
WideMap<T> input_of(RandomValues& random, const Shape& shape, int unit) {
  WideMap<T> map = random_map<T>(random, shape.batch, shape.pixels, shape.channels, unit);
  for (T& value : map.values()) value = cuda::from_float<T>(3.0F + 2.0F * cuda::to_float(value));
  return map;
}

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        shape(shape_of(random, seed)),
        unit(seed % 2 == 0 ? 8 : 1),
        x(input_of<T>(random, shape, unit)),
        own(random_map<T>(random, shape.batch, shape.pixels, shape.channels, unit)),
        in_place(random.between(0, 1) == 1) {
    const auto channels = static_cast<std::size_t>(shape.channels);
    const bool shifts = random.between(0, 1) == 1;
    const std::size_t stride = 2 * channels + (unit == 8 ? 8 : 3);
    gamma = stored<float>(random.normals(channels));
    beta = stored<float>(random.normals(channels));
    scale_shift = stored<T>(random.normals(static_cast<std::size_t>(shape.batch) * stride));
    // The workspace has exactly the requested size; NaN shows elements that are read before they are written.
    workspace.resize(
        static_cast<std::size_t>(cuda::group_norm_workspace(shape.batch, shape.pixels, shape.channels, shape.groups)));
    std::fill(workspace.begin(), workspace.end(), std::numeric_limits<float>::quiet_NaN());
    arguments.x = x.input();
    arguments.y = written().map();
    arguments.batch = shape.batch;
    arguments.pixels = shape.pixels;
    arguments.channels = shape.channels;
    arguments.groups = shape.groups;
    arguments.epsilon = 1e-6F;
    arguments.gamma = gamma.data();
    arguments.beta = beta.data();
    arguments.scale_shift = shifts ? scale_shift.data() : nullptr;
    arguments.scale_shift_stride = static_cast<std::int64_t>(stride);
    vector = stored<T>(random.normals(static_cast<std::size_t>(shape.batch) * stride, 3.0F));
    arguments.vector = random.between(0, 1) == 1 ? vector.data() : nullptr;
    arguments.vector_stride = static_cast<std::int64_t>(stride);
    bias = stored<float>(random.normals(channels, 0.5F));
    arguments.bias = random.between(0, 1) == 1 ? bias.data() : nullptr;
    arguments.silu = random.between(0, 1) == 1;
    arguments.workspace = workspace.data();
  }

  WideMap<T>& written() { return in_place ? x : own; }

  RandomValues random;
  Shape shape;
  int unit;  ///< channels by which vectors are aligned, or not
  WideMap<T> x, own;
  bool in_place;
  DeviceVector<float> gamma, beta, bias, workspace;
  DeviceVector<T> scale_shift, vector;
  cuda::GroupNormArguments<T> arguments{};
};

template <typename T>
double result_of(const cuda::GroupNormArguments<T>& a, int n, int c, double normed) {
  double y = normed * static_cast<double>(a.gamma[c]) + static_cast<double>(a.beta[c]);
  if (a.scale_shift != nullptr) {
    const T* row = a.scale_shift + n * a.scale_shift_stride;
    y = y * (1 + value_of(row, c)) + value_of(row, a.channels + c);
  }
  return a.silu ? y / (1 + std::exp(-y)) : y;
}

/// Computes the whole wider map that is expected.
template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  const cuda::GroupNormArguments<T>& a = test.arguments;
  std::vector<float> result = floats(test.written().values());
  const int of_group = a.channels / a.groups;
  for (int n = 0; n < a.batch; ++n) {
    for (int g = 0; g < a.groups; ++g) {
      const auto for_all = [&](const auto& body) {
        for (int pixel = 0; pixel < a.pixels; ++pixel) {
          for (int c = g * of_group; c < (g + 1) * of_group; ++c) {
            const double vector = a.vector == nullptr ? 0.0 : value_of(a.vector + n * a.vector_stride, c);
            const double added = vector + (a.bias == nullptr ? 0.0 : static_cast<double>(a.bias[c]));
            body(pixel, c, value_of(a.x, n, pixel, c) + added);
          }
        }
      };
      const double count = static_cast<double>(of_group) * a.pixels;
      double mean = 0;
      for_all([&](int, int, double x) { mean += x / count; });
      double variance = 0;
      for_all([&](int, int, double x) { variance += (x - mean) * (x - mean) / count; });
      const double deviation = std::sqrt(variance + static_cast<double>(a.epsilon));
      for_all([&](int pixel, int c, double x) {
        const double y = result_of(a, n, c, (x - mean) / deviation);
        result[test.written().index(n, pixel, c)] = static_cast<float>(y);
      });
    }
  }
  return result;
}

/// Runs the kernels on the map with its original contents.
template <typename T>
std::vector<float> actual_of(Case<T>& test, const DeviceVector<T>& before) {
  std::copy(before.begin(), before.end(), test.written().values().begin());
  cuda::group_norm(test.arguments, nullptr);
  synchronize();
  return floats(test.written().values());
}

template <typename T>
void check_shapes(double tolerance) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<T> test(seed);
    const std::vector<float> expected = expected_of(test);
    const DeviceVector<T> before = test.written().values();
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      ASSERT_LT(relative_difference(actual_of(test, before), expected), tolerance)
          << "shape " << seed << ", order " << order;
    }
  }
}

TEST(CudaGroupNorm, Float32AgreesWithAPlainLoop) { check_shapes<float>(3e-5); }
TEST(CudaGroupNorm, HalfAgreesWithAPlainLoop) { check_shapes<cuda::Half>(1e-3); }
TEST(CudaGroupNorm, Bfloat16AgreesWithAPlainLoop) { check_shapes<cuda::Bfloat16>(8e-3); }

TEST(CudaGroupNorm, AResultDoesNotDependOnTheBatch) {
  for (std::uint32_t seed = 0; seed < kShapes; seed += 4) {
    Case<cuda::Half> test(seed);
    const DeviceVector<cuda::Half> before = test.written().values();
    const std::vector<float> together = actual_of(test, before);
    std::copy(before.begin(), before.end(), test.written().values().begin());
    for (int n = 0; n < test.shape.batch; ++n) {
      cuda::GroupNormArguments<cuda::Half> single = test.arguments;
      single.batch = 1;
      single.x.data += n * single.x.sample_stride;
      single.y.data += n * single.y.sample_stride;
      if (single.scale_shift != nullptr) single.scale_shift += n * single.scale_shift_stride;
      if (single.vector != nullptr) single.vector += n * single.vector_stride;
      cuda::group_norm(single, nullptr);
    }
    synchronize();
    ASSERT_EQ(floats(test.written().values()), together) << "shape " << seed;
  }
}

TEST(CudaGroupNorm, AFarMeanCostsNoDigits) {
  // A sum of squares would have no correct digit of the variance.
  for (const int pixels : {64, 4096}) {
    RandomValues random(1);
    WideMap<float> map(random, 1, pixels, 32, 0, 0);
    for (float& value : map.values()) value = 10000.0F + std::round(value * 8.0F) / 8.0F;
    const DeviceVector<float> gamma(32, 1.0F);
    const DeviceVector<float> beta(32, 0.0F);
    DeviceVector<float> workspace(static_cast<std::size_t>(cuda::group_norm_workspace(1, pixels, 32, 2)));
    cuda::group_norm<float>({map.input(),
                             map.map(),
                             1,
                             pixels,
                             32,
                             2,
                             1e-6F,
                             gamma.data(),
                             beta.data(),
                             nullptr,
                             0,
                             nullptr,
                             nullptr,
                             0,
                             false,
                             {},
                             workspace.data()},
                            nullptr);
    synchronize();
    double squares = 0;
    for (const float value : map.values()) squares += static_cast<double>(value) * static_cast<double>(value);
    EXPECT_NEAR(squares / static_cast<double>(map.values().size()), 1, 1e-3) << pixels;
  }
}

TEST(CudaGroupNorm, ClustersHaveEveryGroupAndNoneIsEmpty) {
  for (const int groups : {1, 2, 3, 4, 7, 8, 32, 64}) {
    for (const int of_group : {1, 2, 3, 4, 8, 12, 40}) {
      for (const int width : {1, 4, 8}) {
        if (groups * of_group % width != 0) continue;
        const cuda::GroupNormLayout layout = cuda::group_norm_layout(100, groups * of_group, groups, width, 2, 64, 512);
        EXPECT_GE(layout.clusters * layout.groups, groups) << groups << " groups of " << of_group;
        EXPECT_LT((layout.clusters - 1) * layout.groups, groups) << groups << " groups of " << of_group;
        EXPECT_EQ(layout.columns * width, layout.groups * of_group);
      }
    }
  }
}

TEST(CudaGroupNorm, SmallMapsNeedNoWorkspace) {
  EXPECT_EQ(cuda::group_norm_workspace(4, 64, 1280, 32), 0);
  EXPECT_GT(cuda::group_norm_workspace(1, 65536, 128, 32), 0);
  EXPECT_EQ(cuda::group_norm_workspace(6, 65536, 128, 32), 6 * cuda::group_norm_workspace(1, 65536, 128, 32));
}

#if defined(DPM_CUDA_EMULATION)
/// A copy of numbers at the end of accessible memory, so that reads beyond it are stopped.
class AtTheEnd {
 public:
  explicit AtTheEnd(const DeviceVector<float>& values) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t used = values.size() * sizeof(float);
    const std::size_t whole = (used + page - 1) / page * page;
    bytes_ = whole + page;
    memory_ =
        static_cast<unsigned char*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED || mprotect(memory_ + whole, page, PROT_NONE) != 0) throw std::bad_alloc();
    start_ = reinterpret_cast<float*>(memory_ + whole - used);
    std::copy(values.begin(), values.end(), start_);
  }
  ~AtTheEnd() { munmap(memory_, bytes_); }
  AtTheEnd(const AtTheEnd&) = delete;
  AtTheEnd& operator=(const AtTheEnd&) = delete;

  [[nodiscard]] const float* data() const { return start_; }

 private:
  std::size_t bytes_ = 0;
  unsigned char* memory_ = nullptr;
  float* start_ = nullptr;
};

TEST(CudaGroupNorm, ReadsNothingBehindTheScalesAndShifts) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<float> test(seed);
    const DeviceVector<float> before = test.written().values();
    const std::vector<float> expected = actual_of(test, before);
    const AtTheEnd gamma(test.gamma);
    const AtTheEnd beta(test.beta);
    test.arguments.gamma = gamma.data();
    test.arguments.beta = beta.data();
    ASSERT_EQ(actual_of(test, before), expected) << "shape " << seed;
  }
}

TEST(CudaGroupNorm, AMissingBarrierWouldShow) {
  int noticed = 0;
  int several_warps = 0;
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<float> test(seed);
    if (test.shape.channels * test.shape.pixels / test.shape.groups < 1024) continue;
    ++several_warps;
    const std::vector<float> expected = expected_of(test);
    const DeviceVector<float> before = test.written().values();
    const WithoutBarriers broken;
    if (!(relative_difference(actual_of(test, before), expected) < 1e-5)) ++noticed;
  }
  EXPECT_GT(several_warps, 10);
  EXPECT_EQ(noticed, several_warps);
}
#endif

}  // namespace
}  // namespace dpm::test
