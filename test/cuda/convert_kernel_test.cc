// Test of the conversion of NCHW float32 images to NHWC maps and back against plain loops.
#include <gtest/gtest.h>

#include <iterator>

#include "cuda/kernels/convert.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

struct Shape {
  int batch;
  int pixels;
  int channels;
  int padding;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  constexpr Shape kCorners[] = {{1, 1, 1, 0},   {1, 2, 4096, 0}, {65, 3, 3, 5},
                                {2, 257, 3, 5}, {1, 256, 4, 4},  {3, 49, 33, 7}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int channels = random.between(1, 20);
  const int padding = random.between(0, 1) == 1 ? (8 - channels % 8) % 8 : random.between(0, 3);
  return {random.between(1, 4), random.between(1, 300), channels, padding};
}

/// An image whose rows have other elements between them.
struct Image {
  Image(RandomValues& random, const Shape& shape) {
    stride = static_cast<std::uint64_t>(shape.channels) * static_cast<std::uint64_t>(shape.pixels) + 3;
    values = stored<float>(random.normals(static_cast<std::size_t>(shape.batch) * stride));
  }

  cuda::Rows rows() { return {values.data(), stride}; }

  std::uint64_t stride = 0;
  DeviceVector<float> values;
};

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        shape(shape_of(random, seed)),
        x(random, shape),
        y(random, shape),
        map(random_map<T>(random, shape.batch, shape.pixels, padded_channels())) {
    for (int n = 0; n < shape.batch; ++n) {
      cuda::UpdateSample sample{};
      sample.row = static_cast<std::uint32_t>(random.between(0, shape.batch - 1));
      sample.record.flags = random.between(0, 1) == 1 ? DPM_RECORD_READ_Y : DPM_RECORD_WRITE_X;
      sample.record.input_scale = random.normals(1)[0];
      samples.push_back(sample);
    }
    has_samples = random.between(0, 2) > 0;
    if (random.between(0, 1) == 0) return;
    for (int n = 0; n < shape.batch; ++n) {
      groups.push_back(static_cast<std::uint32_t>(random.between(0, shape.batch - 1)));
    }
  }

  cuda::LoadImageArguments<T> loading() {
    return {x.rows(),       y.rows(),          has_samples ? samples.data() : nullptr,
            map.map(),      shape.batch,       shape.pixels,
            shape.channels, padded_channels(), groups.empty() ? nullptr : groups.data()};
  }
  [[nodiscard]] int padded_channels() const { return cuda::kImageTerms<T> * shape.channels + shape.padding; }
  cuda::StoreOutputArguments<T> storing() { return {map.input(), x.rows(), shape.batch, shape.pixels, shape.channels}; }

  RandomValues random;
  Shape shape;
  Image x, y;
  WideMap<T> map;
  DeviceVector<cuda::UpdateSample> samples;
  DeviceVector<std::uint32_t> groups;
  bool has_samples = false;
};

template <typename T>
float loaded(const Case<T>& test, int n, int pixel, int c) {
  const auto element =
      static_cast<std::size_t>(c) * static_cast<std::size_t>(test.shape.pixels) + static_cast<std::size_t>(pixel);
  if (!test.has_samples) {
    const std::size_t row =
        test.groups.empty() ? static_cast<std::size_t>(n) : test.groups[static_cast<std::size_t>(n)];
    return test.x.values[row * test.x.stride + element];
  }
  const cuda::UpdateSample& sample = test.samples[static_cast<std::size_t>(n)];
  const Image& image = sample.record.flags == DPM_RECORD_READ_Y ? test.y : test.x;
  return sample.record.input_scale * image.values[sample.row * image.stride + element];
}

/// Returns channel c of a stored pixel: the value, the remainder of its rounding, the value again, zero.
template <typename T>
float expected_channel(const Case<T>& test, int n, int pixel, int c) {
  const int term = c / test.shape.channels;
  if (term >= cuda::kImageTerms<T>) return 0;
  const float value = loaded(test, n, pixel, c % test.shape.channels);
  const float rounded = cuda::to_float(cuda::from_float<T>(value));
  return term == 1 ? cuda::to_float(cuda::from_float<T>(value - rounded)) : rounded;
}

template <typename T>
std::vector<float> expected_map(const Case<T>& test) {
  std::vector<float> result = floats(test.map.values());
  for (int n = 0; n < test.shape.batch; ++n) {
    for (int pixel = 0; pixel < test.shape.pixels; ++pixel) {
      for (int c = 0; c < test.padded_channels(); ++c) {
        result[test.map.index(n, pixel, c)] = expected_channel(test, n, pixel, c);
      }
    }
  }
  return result;
}

template <typename T>
std::vector<float> expected_output(const Case<T>& test) {
  std::vector<float> result = floats(test.x.values);
  for (int n = 0; n < test.shape.batch; ++n) {
    for (int pixel = 0; pixel < test.shape.pixels; ++pixel) {
      for (int c = 0; c < test.shape.channels; ++c) {
        const auto plane = static_cast<std::size_t>(c) * static_cast<std::size_t>(test.shape.pixels);
        result[static_cast<std::size_t>(n) * test.x.stride + plane + static_cast<std::size_t>(pixel)] =
            static_cast<float>(value_of(test.map.input(), n, pixel, c));
      }
    }
  }
  return result;
}

template <typename T>
void check_shapes() {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      Case<T> load(seed);
      const std::vector<float> map = expected_map(load);
      cuda::load_image(load.loading(), nullptr);
      synchronize();
      ASSERT_EQ(floats(load.map.values()), map) << "shape " << seed << ", order " << order;

      Case<T> store(seed);
      const std::vector<float> output = expected_output(store);
      cuda::store_output(store.storing(), nullptr);
      synchronize();
      ASSERT_EQ(floats(store.x.values), output) << "shape " << seed << ", order " << order;
    }
  }
}

TEST(CudaConvert, Float32IsThePlainLoops) { check_shapes<float>(); }
TEST(CudaConvert, HalfIsThePlainLoops) { check_shapes<cuda::Half>(); }
TEST(CudaConvert, Bfloat16IsThePlainLoops) { check_shapes<cuda::Bfloat16>(); }

}  // namespace
}  // namespace dpm::test
