// Test of the first and the last kernel of a step: the latter gives the same bits as conversions and update one after
// the other.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "cuda/kernels/convert.h"
#include "cuda/kernels/step.h"
#include "kernel_case.h"
#include "random_record.h"

namespace dpm::test {
namespace {

TEST(CudaSelectStep, GoesThroughTheTable) {
  constexpr std::uint32_t kSteps = 4;
  constexpr std::uint32_t kWords[] = {3, 300};
  for (const std::uint32_t batch : {1U, 3U, 65U}) {
    DeviceVector<cuda::UpdateSample> table(std::size_t{kSteps} * batch);
    for (std::uint32_t i = 0; i < table.size(); ++i) {
      table[i].row = i;
      table[i].record.time = static_cast<float>(i) * 0.25F;
      table[i].condition_row = (7 * i + 2) % 5;
    }
    DeviceVector<std::uint32_t> rows(5 * kWords[1]);
    for (std::uint32_t i = 0; i < rows.size(); ++i) rows[i] = i;
    DeviceVector<std::uint32_t> narrow(batch * kWords[0] + 1, 77U);
    DeviceVector<std::uint32_t> wide(batch * kWords[1] + 1, 77U);
    DeviceVector<cuda::UpdateSample> current(batch);
    DeviceVector<float> time(batch);
    DeviceVector<cuda::StepProgress> progress(1);
    cuda::SelectStepArguments arguments{};
    arguments.table = {batch, table.data(), progress.data(), current.data(), time.data()};
    arguments.conditions = 2;
    arguments.condition[0] = {rows.data(), narrow.data(), kWords[0]};
    arguments.condition[1] = {rows.data(), wide.data(), kWords[1]};
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      for (std::uint32_t step = 0; step < kSteps; ++step) {
        progress[0] = {step, 99, kSteps};
        cuda::select_step(arguments, nullptr);
        synchronize();
        ASSERT_EQ(progress[0].now, step);
        ASSERT_EQ(progress[0].next, step) << "the last kernel of a step counts it";
        for (std::uint32_t j = 0; j < batch; ++j) {
          const std::uint32_t i = step * batch + j;
          ASSERT_EQ(current[j].row, i);
          ASSERT_EQ(time[j], static_cast<float>(i) * 0.25F);
          const std::uint32_t row = table[i].condition_row;
          for (std::uint32_t w = 0; w < kWords[0]; ++w) ASSERT_EQ(narrow[j * kWords[0] + w], row * kWords[0] + w);
          for (std::uint32_t w = 0; w < kWords[1]; ++w) ASSERT_EQ(wide[j * kWords[1] + w], row * kWords[1] + w);
        }
        ASSERT_EQ(narrow.back(), 77U);
        ASSERT_EQ(wide.back(), 77U);
      }
    }
  }
}

constexpr std::uint32_t kBatch = 3;
constexpr std::uint32_t kSteps = 2;
constexpr std::size_t kTensors = 5 + DPM_MAX_HISTORY;

/// The place of the head.
enum class Head { kNone, kOwnMap, kBehindOutput };

/// A step of a table of two.
template <typename T>
struct StepCase {
  explicit StepCase(std::uint32_t seed) : random(seed) {
    // Only some shapes have whole quads.
    const int sizes[] = {16, 64, 5, 21, 340};
    pixels = sizes[seed % 5];
    channels = random.between(1, 4);
    head = static_cast<Head>(seed % 3);
    has_maps = seed % 4 != 3;
    has_floats = seed % 7 < 3;
    now = seed % 2;
    draws_noise = seed % 5 != 0;
    elements = static_cast<std::uint64_t>(pixels) * static_cast<std::uint64_t>(channels);
    // The rows of `out` contain the head's behind their own.
    for (std::size_t i = 0; i < kTensors; ++i) tensors.push_back(random.normals(kBatch * 2 * elements));
    const int outputs = head == Head::kBehindOutput ? 2 * channels : channels;
    out = std::make_unique<WideMap<T>>(random_map<T>(random, kBatch, pixels, outputs));
    head_map = std::make_unique<WideMap<T>>(random_map<T>(random, kBatch, pixels, channels));
    float_out = std::make_unique<WideMap<float>>(random_map<float>(random, kBatch, pixels, outputs));
    float_head = std::make_unique<WideMap<float>>(random_map<float>(random, kBatch, pixels, channels));
    image = stored<T>(random.normals(kBatch * elements_of_image()));
    for (std::uint32_t i = 0; i < kSteps * kBatch; ++i) {
      const std::uint32_t n = i % kBatch;
      dpm_record record = random_record(random);
      record.input_scale = 0.5F + 0.25F * static_cast<float>(i);
      // Variances that read a head are used only where there is one.
      if (head == Head::kNone) record.variance = std::min<std::uint32_t>(record.variance, DPM_VARIANCE_SCALAR);
      table.push_back({record, n, n, n, 77 + n, 5, 9 * n, seed, n, 0});
    }
  }

  [[nodiscard]] int stride_of_image() const { return cuda::kImageTerms<T> * channels + 3; }
  [[nodiscard]] std::size_t elements_of_image() const {
    return static_cast<std::size_t>(pixels) * static_cast<std::size_t>(stride_of_image());
  }

  RandomValues random;
  int pixels = 0;
  int channels = 0;
  Head head = Head::kNone;
  bool has_maps = true;
  bool has_floats = false;  ///< tells whether the maps are float32
  bool draws_noise = true;
  std::uint32_t now = 0;
  std::uint64_t elements = 0;
  std::vector<std::vector<float>> tensors;
  std::unique_ptr<WideMap<T>> out;
  std::unique_ptr<WideMap<T>> head_map;
  std::unique_ptr<WideMap<float>> float_out;
  std::unique_ptr<WideMap<float>> float_head;
  DeviceVector<T> image;
  DeviceVector<cuda::UpdateSample> table;
};

/// The tensors and the image after a step.
template <typename T>
struct Outcome {
  std::vector<DeviceVector<float>> tensors;
  DeviceVector<T> image;
  cuda::StepProgress progress{};
};

template <typename T>
class Step {
 public:
  explicit Step(StepCase<T>& test) : test_(test), samples_(kBatch), thresholds_(kBatch), progress_(1) {
    for (const auto& values : test.tensors) made_.tensors.push_back(on_device(values));
    made_.image = test.image;
    std::copy_n(test.table.begin() + test.now * kBatch, kBatch, samples_.begin());
    progress_[0] = {test.now, test.now, kSteps};
    update_.batch = kBatch;
    update_.elements = test.elements;
    update_.samples = samples_.data();
    update_.thresholds = thresholds_.data();
    update_.x = rows(0);
    update_.y = rows(1);
    update_.out = rows(2);
    if (test.head == Head::kOwnMap) update_.head = rows(3);
    if (test.head == Head::kBehindOutput) update_.head = {update_.out.data + test.elements, update_.out.stride};
    if (!test.draws_noise) update_.noise = rows(4);
    for (std::size_t j = 0; j < DPM_MAX_HISTORY; ++j) update_.history[j] = rows(5 + j);
    for (float& threshold : thresholds_) threshold = 0.75F;
  }

  Outcome<T> at_once() {
    cuda::FinishStepArguments<T> arguments{};
    arguments.table = {kBatch, test_.table.data(), progress_.data(), samples_.data(), nullptr};
    arguments.update = update_;
    if (test_.has_maps) {
      arguments.out = prediction(*test_.out, *test_.float_out);
      if (test_.head == Head::kOwnMap) arguments.head = prediction(*test_.head_map, *test_.float_head);
    }
    arguments.image = image();
    arguments.pixels = test_.pixels;
    arguments.channels = test_.channels;
    cuda::finish_step(arguments, nullptr);
    return outcome();
  }

  Outcome<T> one_by_one() {
    if (test_.has_maps) {
      const bool behind = test_.head == Head::kBehindOutput;
      store(*test_.out, *test_.float_out, update_.out, behind ? 2 * test_.channels : test_.channels);
      if (test_.head == Head::kOwnMap) store(*test_.head_map, *test_.float_head, update_.head, test_.channels);
    }
    cuda::update(update_, nullptr);
    if (test_.now + 1 < kSteps) {
      cuda::LoadImageArguments<T> load{};
      load.x = update_.x;
      load.y = update_.y;
      load.samples = test_.table.data() + kBatch;
      load.map = image();
      load.batch = static_cast<int>(kBatch);
      load.pixels = test_.pixels;
      load.channels = test_.channels;
      load.padded_channels = cuda::kImageTerms<T> * test_.channels;
      cuda::load_image(load, nullptr);
    }
    progress_[0].next = test_.now + 1;
    return outcome();
  }

 private:
  cuda::PredictionMap<T> prediction(const WideMap<T>& stored, const WideMap<float>& floats) const {
    if (test_.has_floats) return {{}, floats.input()};
    return {stored.input(), {}};
  }
  void store(const WideMap<T>& stored, const WideMap<float>& floats, const cuda::Rows& rows, int channels) const {
    constexpr int kSamples = kBatch;
    if (test_.has_floats) {
      cuda::store_output<float>({floats.input(), rows, kSamples, test_.pixels, channels}, nullptr);
    } else {
      cuda::store_output<T>({stored.input(), rows, kSamples, test_.pixels, channels}, nullptr);
    }
  }
  cuda::Rows rows(std::size_t i) { return {made_.tensors[i].data(), 2 * test_.elements}; }
  cuda::Map<T> image() {
    return {made_.image.data(), test_.stride_of_image(), static_cast<std::int64_t>(test_.elements_of_image())};
  }
  Outcome<T> outcome() {
    synchronize();
    made_.progress = progress_[0];
    return made_;
  }

  StepCase<T>& test_;
  Outcome<T> made_;
  DeviceVector<cuda::UpdateSample> samples_;
  DeviceVector<float> thresholds_;
  DeviceVector<cuda::StepProgress> progress_;
  cuda::UpdateArguments update_{};
};

template <typename T>
bool is_same(const Outcome<T>& actual, const Outcome<T>& expected) {
  const auto equal_bytes = [](const auto& a, const auto& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
  };
  bool same = actual.progress.next == expected.progress.next && actual.progress.now == expected.progress.now &&
              equal_bytes(actual.image, expected.image);
  for (std::size_t i = 0; i < kTensors; ++i) same = same && equal_bytes(actual.tensors[i], expected.tensors[i]);
  return same;
}

template <typename T>
class CudaFinishStep : public testing::Test {};
using StorageTypes = testing::Types<float, cuda::Half, cuda::Bfloat16>;
TYPED_TEST_SUITE(CudaFinishStep, StorageTypes);

TYPED_TEST(CudaFinishStep, EqualsConversionsAndUpdateOneByOne) {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    StepCase<TypeParam> test(seed);
    const Outcome<TypeParam> expected = Step<TypeParam>(test).one_by_one();
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      ASSERT_TRUE(is_same(Step<TypeParam>(test).at_once(), expected)) << "case " << seed << ", order " << order;
    }
  }
}

#if defined(DPM_CUDA_EMULATION)
TYPED_TEST(CudaFinishStep, AMissingBarrierWouldShow) {
  int noticed = 0;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    StepCase<TypeParam> test(seed);
    const Outcome<TypeParam> expected = Step<TypeParam>(test).one_by_one();
    const WithoutBarriers broken;
    if (!is_same(Step<TypeParam>(test).at_once(), expected)) ++noticed;
  }
  EXPECT_GT(noticed, 10);
}
#endif

}  // namespace
}  // namespace dpm::test
