// Test of a norm that completes a sum, against a separate pass followed by a norm.
#include <gtest/gtest.h>

#include <algorithm>
#include <type_traits>

#include "cuda/kernels/channelwise.h"
#include "cuda/kernels/group_norm.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = 60;
constexpr int kUnit = 8;

/// The place of the completed map: one of its own, or that of another map.
enum class Place { kOwn, kInput, kResidual };

template <typename T>
struct CompletionCase {
  explicit CompletionCase(std::uint32_t seed)
      : random(seed),
        batch(random.between(1, 3)),
        groups(random.between(1, 6)),
        channels(groups * 8 * random.between(1, 3)),
        // Some sizes take few vectors per thread, some many.
        pixels(seed % 4 == 0 ? random.between(200, 700) : random.between(1, 90)),
        place(static_cast<Place>(seed % 3)),
        x(map()),
        residual(map()),
        own(map()),
        y(map()) {
    const auto count = static_cast<std::size_t>(channels);
    gamma = stored<float>(random.normals(count));
    beta = stored<float>(random.normals(count));
    bias = stored<float>(random.normals(count));
    vector = stored<T>(random.normals(static_cast<std::size_t>(batch) * (count + kUnit)));
    set();
  }

  WideMap<T> map() { return random_map<T>(random, batch, pixels, channels, kUnit); }

  /// Returns the map where the completed one is stored.
  WideMap<T>& z() { return place == Place::kOwn ? own : place == Place::kInput ? x : residual; }

  void set() {
    const auto coin = [&] { return random.between(0, 1) == 1; };
    cuda::GroupNormArguments<T>& a = arguments;
    a.x = x.input();
    a.y = y.map();
    a.batch = batch;
    a.pixels = pixels;
    a.channels = channels;
    a.groups = groups;
    a.epsilon = 1e-5F;
    a.gamma = gamma.data();
    a.beta = beta.data();
    a.bias = coin() ? bias.data() : nullptr;
    a.vector = coin() ? vector.data() : nullptr;
    a.vector_stride = channels + kUnit;
    a.silu = coin();
    a.completion.z = z().map();
    if (place == Place::kResidual || coin()) a.completion.residual = residual.input();
    a.completion.scale = coin() ? 1.0F : 0.75F;
  }

  /// Returns the arguments of the separate pass.
  [[nodiscard]] cuda::ChannelwiseArguments<T> pass() const {
    const cuda::GroupNormArguments<T>& a = arguments;
    cuda::ChannelwiseArguments<T> p{};
    p.x = a.x;
    p.y = a.completion.z;
    p.batch = batch;
    p.pixels = pixels;
    p.channels = channels;
    p.bias = a.bias;
    p.vector = a.vector;
    p.vector_stride = a.vector_stride;
    p.residual = a.completion.residual;
    p.scale = a.completion.scale;
    return p;
  }

  /// Returns the arguments of the norm of the completed map.
  [[nodiscard]] cuda::GroupNormArguments<T> plain() const {
    cuda::GroupNormArguments<T> a = arguments;
    a.x = {a.completion.z.data, a.completion.z.pixel_stride, a.completion.z.sample_stride};
    a.bias = nullptr;
    a.vector = nullptr;
    a.completion = {};
    return a;
  }

  RandomValues random;
  int batch, groups, channels, pixels;
  Place place;
  WideMap<T> x, residual, own, y;
  DeviceVector<float> gamma, beta, bias;
  DeviceVector<T> vector;
  cuda::GroupNormArguments<T> arguments{};
};

/// The contents of all maps, including the wider ones.
struct Outcome {
  std::vector<float> z;
  std::vector<float> y;
};

template <typename T>
class CudaGroupNormCompletion : public testing::Test {
 protected:
  using Case = CompletionCase<T>;
  static constexpr double kTolerance = std::is_same_v<T, float> ? 1e-5 : std::is_same_v<T, cuda::Half> ? 2e-3 : 1.6e-2;

  template <typename Run>
  static Outcome outcome_of(Case& test, const Run& run) {
    const DeviceVector<T> z = test.z().values();
    const DeviceVector<T> y = test.y.values();
    run();
    synchronize();
    Outcome outcome{floats(test.z().values()), floats(test.y.values())};
    std::copy(z.begin(), z.end(), test.z().values().begin());
    std::copy(y.begin(), y.end(), test.y.values().begin());
    return outcome;
  }
  static Outcome one_by_one(Case& test) {
    return outcome_of(test, [&] {
      cuda::channelwise(test.pass(), nullptr);
      cuda::group_norm(test.plain(), nullptr);
    });
  }
  static Outcome at_once(Case& test) {
    return outcome_of(test, [&] { cuda::group_norm(test.arguments, nullptr); });
  }
};

using StorageTypes = testing::Types<float, cuda::Half, cuda::Bfloat16>;
TYPED_TEST_SUITE(CudaGroupNormCompletion, StorageTypes);

TYPED_TEST(CudaGroupNormCompletion, EqualsAPassAndTheNormOfItsResult) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    CompletionCase<TypeParam> test(seed);
    ASSERT_TRUE(cuda::takes_completion(test.arguments)) << "shape " << seed;
    const Outcome expected = this->one_by_one(test);
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      const Outcome actual = this->at_once(test);
      ASSERT_LT(relative_difference(actual.z, expected.z), this->kTolerance) << "shape " << seed << ", order " << order;
      ASSERT_LT(relative_difference(actual.y, expected.y), this->kTolerance) << "shape " << seed << ", order " << order;
    }
  }
}

TYPED_TEST(CudaGroupNormCompletion, TakesAlignedMapsThatFitIntoRegisters) {
  CompletionCase<TypeParam> test(1);
  const auto takes = [&](const auto& change) {
    cuda::GroupNormArguments<TypeParam> a = test.arguments;
    change(a);
    return cuda::takes_completion(a);
  };
  using Arguments = cuda::GroupNormArguments<TypeParam>;
  EXPECT_TRUE(takes([](Arguments&) {}));
  EXPECT_FALSE(takes([](Arguments& a) { ++a.x.data; }));
  EXPECT_FALSE(takes([](Arguments& a) { ++a.completion.z.data; }));
  EXPECT_FALSE(takes([&](Arguments& a) {
    a.completion.residual = test.residual.input();
    ++a.completion.residual.data;
  }));
  EXPECT_FALSE(takes([](Arguments& a) { a.pixels = 65536; }));
}

}  // namespace
}  // namespace dpm::test
