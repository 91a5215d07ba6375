// Test of convolution kernels on the emulation against a plain loop in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <iterator>

#include "cuda/kernels/convolution.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

using cuda::ConvolutionTile;
using cuda::Enlargement;

constexpr std::uint32_t kShapes = kernel_shapes(200);
constexpr ConvolutionTile kTiles[] = {ConvolutionTile::kSmall, ConvolutionTile::kLarge};

struct Shape {
  int batch;
  int height;
  int width;
  int in;
  int out;
  int kernel;
  int stride;
  int pad_before;
  int pad_after;
  Enlargement enlargement;

  [[nodiscard]] int out_size(int size) const {
    return (size * (enlargement == Enlargement::kNone ? 1 : 2) + pad_before + pad_after - kernel) / stride + 1;
  }
};

constexpr Enlargement kNone = Enlargement::kNone;
constexpr Enlargement kNearest = Enlargement::kNearest;
// Shapes, of which the last two fill a whole tile, and more than one.
constexpr Shape kCorners[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 0, kNone},      {1, 1, 1, 4096, 3, 1, 1, 0, 0, kNone},
    {1, 1, 1, 2, 4096, 1, 1, 0, 0, kNone},   {65, 1, 1, 8, 5, 1, 1, 0, 0, kNone},
    {1, 4, 4, 3, 17, 3, 1, 1, 1, kNone},     {1, 7, 5, 16, 3, 3, 2, 0, 1, kNone},
    {2, 3, 3, 24, 18, 3, 1, 1, 1, kNearest}, {1, 5, 6, 1, 2, 5, 3, 2, 2, kNone},
    {1, 8, 8, 16, 64, 3, 1, 1, 1, kNone},    {3, 8, 9, 8, 72, 3, 1, 1, 1, kNone},
};

Shape shape_of(std::uint32_t seed, RandomValues& random) {
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int unit = random.between(0, 2) * 4;
  const int kernel = random.between(1, 3);
  Shape shape{};
  shape.batch = random.between(1, 3);
  shape.height = random.between(1, 6) + kernel - 1;
  shape.width = random.between(1, 6) + kernel - 1;
  shape.in = unit == 0 ? random.between(1, 20) : unit * random.between(1, 3);
  shape.out = unit == 0 ? random.between(1, 40) : unit * random.between(1, 5);
  shape.kernel = kernel;
  shape.stride = random.between(1, 2);
  shape.pad_before = random.between(0, kernel - 1);
  shape.pad_after = random.between(0, kernel - 1);
  constexpr Enlargement kEnlargements[] = {kNone, kNone, kNearest, Enlargement::kZeros};
  shape.enlargement = kEnlargements[random.between(0, 3)];
  return shape;
}

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed) : Case(seed, RandomValues(seed)) {}
  Case(std::uint32_t seed, RandomValues random) : Case(shape_of(seed, random), random) {}

  Case(const Shape& shape, RandomValues& random)
      : x(random_map<T>(random, shape.batch, shape.height * shape.width, shape.in)),
        y(random_map<T>(random, shape.batch, shape.out_size(shape.height) * shape.out_size(shape.width), shape.out)),
        residual(
            random_map<T>(random, shape.batch, shape.out_size(shape.height) * shape.out_size(shape.width), shape.out)) {
    const int depth = shape.kernel * shape.kernel * shape.in;
    weight = stored<T>(
        random.normals(static_cast<std::size_t>(shape.out) * depth, 1.0F / std::sqrt(static_cast<float>(depth))));
    bias = on_device(random.normals(static_cast<std::size_t>(shape.out)));
    const int vector_stride = shape.out + random.between(0, 1) * 3;
    vector = stored<T>(random.normals(static_cast<std::size_t>(shape.batch) * vector_stride));
    before = y.values();

    arguments.x = x.input();
    arguments.weight = weight.data();
    arguments.y = y.map();
    arguments.bias = random.between(0, 1) == 1 ? bias.data() : nullptr;
    arguments.vector = random.between(0, 1) == 1 ? vector.data() : nullptr;
    arguments.vector_stride = vector_stride;
    const int kind = random.between(0, 2);
    if (kind == 1) arguments.residual = residual.input();
    if (kind == 2) arguments.residual = y.input();
    arguments.scale = random.between(0, 1) == 1 ? 1.0F : 0.75F;
    arguments.silu = random.between(0, 1) == 1;
    arguments.batch = shape.batch;
    arguments.in_height = shape.height;
    arguments.in_width = shape.width;
    arguments.in_channels = shape.in;
    arguments.out_height = shape.out_size(shape.height);
    arguments.out_width = shape.out_size(shape.width);
    arguments.out_channels = shape.out;
    arguments.kernel = shape.kernel;
    arguments.stride = shape.stride;
    arguments.pad_before = shape.pad_before;
    arguments.enlargement = shape.enlargement;
  }

  /// Runs the kernel; returns the whole map of y.
  DeviceVector<T> run(ConvolutionTile tile) {
    y.values() = before;
    cuda::convolution(arguments, tile, nullptr);
    synchronize();
    return y.values();
  }

  WideMap<T> x, y, residual;
  DeviceVector<T> weight, vector, before;
  DeviceVector<float> bias;
  cuda::ConvolutionArguments<T> arguments{};
};

template <typename T>
double convolution_at(const cuda::ConvolutionArguments<T>& a, int n, int i, int j, int c) {
  const int enlarged = a.enlargement == Enlargement::kNone ? 1 : 2;
  const int step = a.enlargement == Enlargement::kZeros ? 2 : 1;
  double sum = 0;
  for (int ky = 0; ky < a.kernel; ++ky) {
    for (int kx = 0; kx < a.kernel; ++kx) {
      const int row = i * a.stride - a.pad_before + ky;
      const int column = j * a.stride - a.pad_before + kx;
      if (row < 0 || row >= a.in_height * enlarged || column < 0 || column >= a.in_width * enlarged) continue;
      if (row % step != 0 || column % step != 0) continue;
      const int pixel = row / enlarged * a.in_width + column / enlarged;
      const std::int64_t weight = ((std::int64_t{c} * a.kernel + ky) * a.kernel + kx) * a.in_channels;
      for (int k = 0; k < a.in_channels; ++k) sum += value_of(a.x, n, pixel, k) * value_of(a.weight, weight + k);
    }
  }
  return sum;
}

/// Computes the whole map of y that is expected.
template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  const cuda::ConvolutionArguments<T>& a = test.arguments;
  test.y.values() = test.before;
  std::vector<float> result = floats(test.before);
  for (int n = 0; n < a.batch; ++n) {
    for (int pixel = 0; pixel < a.out_height * a.out_width; ++pixel) {
      for (int c = 0; c < a.out_channels; ++c) {
        double value = convolution_at(a, n, pixel / a.out_width, pixel % a.out_width, c);
        if (a.bias != nullptr) value += static_cast<double>(a.bias[c]);
        if (a.vector != nullptr) value += value_of(a.vector, n * a.vector_stride + c);
        if (a.residual.data != nullptr) value += value_of(a.residual, n, pixel, c);
        value *= static_cast<double>(a.scale);
        result[test.y.index(n, pixel, c)] = static_cast<float>(a.silu ? value / (1 + std::exp(-value)) : value);
      }
    }
  }
  return result;
}

template <typename T>
bool same_bits(const DeviceVector<T>& a, const DeviceVector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <typename T>
void check_shapes(double tolerance) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<T> test(seed);
    const std::vector<float> expected = expected_of(test);
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      ASSERT_LT(relative_difference(floats(test.run(kTiles[(seed + order) % 2])), expected), tolerance)
          << "shape " << seed << ", order " << order;
    }
  }
}

TEST(CudaConvolution, Float32AgreesWithAPlainLoop) { check_shapes<float>(1e-5); }
TEST(CudaConvolution, HalfAgreesWithAPlainLoop) { check_shapes<cuda::Half>(1e-3); }
TEST(CudaConvolution, Bfloat16AgreesWithAPlainLoop) { check_shapes<cuda::Bfloat16>(8e-3); }

TEST(CudaConvolution, TilesGiveTheSameBits) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<float> test(seed);
    ASSERT_TRUE(same_bits(test.run(ConvolutionTile::kSmall), test.run(ConvolutionTile::kLarge))) << "shape " << seed;
  }
}

template <typename T>
cuda::ConvolutionArguments<T> sample_of(cuda::ConvolutionArguments<T> a, int n) {
  a.batch = 1;
  a.x.data += n * a.x.sample_stride;
  a.y.data += n * a.y.sample_stride;
  if (a.vector != nullptr) a.vector += n * a.vector_stride;
  if (a.residual.data != nullptr) a.residual.data += n * a.residual.sample_stride;
  return a;
}

TEST(CudaConvolution, ASampleGetsTheSameBitsInEveryBatch) {
  RandomValues random(1);
  // The shape is large enough for the batch to be cut into other tiles than a single sample.
  Case<float> test({33, 16, 16, 4, 64, 1, 1, 0, 0, kNone}, random);
  cuda::convolution(test.arguments, nullptr);
  synchronize();
  const DeviceVector<float> together = test.y.values();
  test.y.values() = test.before;
  for (int n = 0; n < test.arguments.batch; ++n) cuda::convolution(sample_of(test.arguments, n), nullptr);
  synchronize();
  EXPECT_TRUE(same_bits(together, test.y.values()));
}

TEST(CudaConvolution, ANaNReachesOnlyThePixelsThatReadIt) {
  for (const ConvolutionTile tile : kTiles) {
    RandomValues random(1);
    Case<float> test({2, 5, 5, 1, 3, 1, 1, 0, 0, kNone}, random);
    test.arguments.residual = {};
    constexpr int kPixel = 12;
    test.x.values()[test.x.index(0, kPixel, 0)] = std::nanf("");
    const DeviceVector<float> y = test.run(tile);
    for (int n = 0; n < 2; ++n) {
      for (int pixel = 0; pixel < 25; ++pixel) {
        ASSERT_EQ(std::isnan(y[test.y.index(n, pixel, 0)]), n == 0 && pixel == kPixel) << n << ", " << pixel;
      }
    }
  }
}

#if defined(DPM_CUDA_EMULATION)
TEST(CudaConvolution, AMissingBarrierWouldShow) {
  int noticed = 0;
  int several_warps = 0;
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<float> test(seed);
    if (test.arguments.out_channels <= 8) continue;
    const std::vector<float> expected = expected_of(test);
    for (const ConvolutionTile tile : kTiles) {
      ++several_warps;
      const WithoutBarriers broken;
      if (!(relative_difference(floats(test.run(tile)), expected) < 1e-5)) ++noticed;
    }
  }
  EXPECT_GT(several_warps, static_cast<int>(kShapes) / 2);
  EXPECT_EQ(noticed, several_warps);
}
#endif

}  // namespace
}  // namespace dpm::test
