// Test of the update kernels against the reference device's literal reading of record.h.
#include <gtest/gtest.h>

#include <cmath>
#include <iterator>

#include "cuda/kernels/update.h"
#include "kernel_case.h"
#include "random_record.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kSamples = 3;
constexpr std::uint32_t kShapes = kernel_shapes(200);

/// Number of tensors: x, y, out, head, noise, then the history; in each the samples follow one another.
constexpr std::size_t kTensors = 5 + DPM_MAX_HISTORY;
using Tensors = std::vector<std::vector<float>>;

struct Case {
  explicit Case(std::uint32_t seed) : random(seed) {
    draws_noise = seed % 3 != 0;
    constexpr std::uint64_t kCorners[] = {1, 2, 3, 4, 5, 1023, 1024, 1025, 3072};
    elements = seed < std::size(kCorners) ? kCorners[seed] : static_cast<std::uint64_t>(random.between(1, 2600));
    for (std::size_t i = 0; i < kTensors; ++i) tensors.push_back(random.normals(kSamples * elements));
    for (std::uint32_t n = 0; n < kSamples; ++n) records.push_back(random_record(random));
    for (std::uint32_t n = 0; n < kSamples; ++n) {
      samples.push_back({&records[n], n, kSamples - 1 - n, n, 77 + n, 5, 9 * n, seed, n});
    }
  }

  RandomValues random;
  bool draws_noise = true;
  std::uint64_t elements = 0;
  Tensors tensors;
  std::vector<dpm_record> records;
  std::vector<dpm_update_sample> samples;
};

Tensors expected_of(const Case& test, const std::shared_ptr<Device>& reference) {
  std::vector<std::shared_ptr<Buffer>> buffers;
  for (const auto& values : test.tensors) {
    buffers.push_back(reference->allocate(values.size() * sizeof(float)));
    buffers.back()->upload(0, values.data(), buffers.back()->bytes());
  }
  dpm_update request{};
  request.batch = kSamples;
  request.elements = test.elements;
  request.samples = test.samples.data();
  request.x = buffers[0]->view(test.elements);
  request.y = buffers[1]->view(test.elements);
  request.out = buffers[2]->view(test.elements);
  request.head = buffers[3]->view(test.elements);
  if (!test.draws_noise) request.noise = buffers[4]->view(test.elements);
  for (std::size_t j = 0; j < DPM_MAX_HISTORY; ++j) request.history[j] = buffers[5 + j]->view(test.elements);
  reference->update(request);
  Tensors result = test.tensors;
  for (std::size_t i = 0; i < kTensors; ++i) buffers[i]->download(0, result[i].data(), buffers[i]->bytes());
  return result;
}

Tensors actual_of(const Case& test) {
  std::vector<DeviceVector<float>> tensors;
  tensors.reserve(kTensors);
  for (const auto& values : test.tensors) tensors.push_back(on_device(values));
  const auto rows = [&](std::size_t i) { return cuda::Rows{tensors[i].data(), test.elements}; };
  DeviceVector<cuda::UpdateSample> samples;
  samples.reserve(kSamples);
  for (const dpm_update_sample& each : test.samples) {
    samples.push_back({*each.record, each.row, each.network_row, each.noise_row, each.seed_low, each.seed_high,
                       each.sample_index, each.record_index, each.draw, 0});
  }
  DeviceVector<float> thresholds(kSamples);
  cuda::UpdateArguments arguments{};
  arguments.batch = kSamples;
  arguments.elements = test.elements;
  arguments.samples = samples.data();
  arguments.thresholds = thresholds.data();
  arguments.x = rows(0);
  arguments.y = rows(1);
  arguments.out = rows(2);
  arguments.head = rows(3);
  if (!test.draws_noise) arguments.noise = rows(4);
  for (std::size_t j = 0; j < DPM_MAX_HISTORY; ++j) arguments.history[j] = rows(5 + j);
  cuda::find_thresholds(arguments, nullptr);
  cuda::update(arguments, nullptr);
  synchronize();
  Tensors result;
  result.reserve(kTensors);
  for (const auto& values : tensors) result.push_back(floats(values));
  return result;
}

/// Returns whether all tensors agree, each relative to its largest value or one.
bool agree(const Tensors& actual, const Tensors& expected) {
  for (std::size_t i = 0; i < kTensors; ++i) {
    if (!(relative_difference(actual[i], expected[i]) < 1e-5)) return false;
  }
  return true;
}

TEST(CudaUpdate, RandomRecordsAgreeWithTheReference) {
  const auto reference = Device::open("reference", {});
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    const Case test(seed);
    const Tensors expected = expected_of(test, reference);
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      ASSERT_TRUE(agree(actual_of(test), expected)) << "shape " << seed << ", order " << order;
    }
  }
}

TEST(CudaUpdate, QuantilesAmongEqualValuesAgreeWithTheReference) {
  const auto reference = Device::open("reference", {});
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    Case test(seed);
    for (float& value : test.tensors[0]) value = 0.5F * std::round(2 * value);
    for (dpm_record& record : test.records) {
      record = {};
      record.flags = DPM_RECORD_WRITE_X;
      record.input_scale = 1;
      record.x0_in = 1;
      record.history_x0 = 1;
      record.x_history[0] = 1;
      record.clip = DPM_CLIP_DYNAMIC;
      // The quantile is on an element or between two, of few elements, so that runs of equal ones begin and end there.
      record.clip_low = static_cast<float>(test.random.between(1, 40)) / 40;
      record.clip_high = 0.01F;
      record.clip_ceiling = 10;
    }
    EXPECT_TRUE(agree(actual_of(test), expected_of(test, reference))) << "shape " << seed;
  }
}

#if defined(DPM_CUDA_EMULATION)
TEST(CudaUpdate, AMissingBarrierWouldShow) {
  const auto reference = Device::open("reference", {});
  int noticed = 0;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const Case test(seed);
    const WithoutBarriers broken;
    if (!agree(actual_of(test), expected_of(test, reference))) ++noticed;
  }
  EXPECT_GT(noticed, 10);
}
#endif

TEST(CudaUpdate, NormalsAreThoseOfTheCpu) {
  constexpr std::uint64_t kElements = 3001;
  dpm_record record{};
  record.flags = DPM_RECORD_WRITE_X;
  record.variance = DPM_VARIANCE_SCALAR;
  record.deviation = 1;
  const dpm_update_sample sample{&record, 0, 0, 0, 1, 2, 3, 4, 5};
  const auto cpu = Device::open("cpu", {1, false});
  const auto buffer = cpu->allocate(kElements * sizeof(float));
  std::vector<float> expected(kElements, 0.0F);
  DeviceVector<float> actual = on_device(expected);
  buffer->upload(0, expected.data(), buffer->bytes());
  dpm_update request{};
  request.batch = 1;
  request.elements = kElements;
  request.samples = &sample;
  request.x = buffer->view(kElements);
  cpu->update(request);
  buffer->download(0, expected.data(), buffer->bytes());

  const DeviceVector<cuda::UpdateSample> own(1, {record, 0, 0, 0, 1, 2, 3, 4, 5, 0});
  cuda::UpdateArguments arguments{};
  arguments.batch = 1;
  arguments.elements = kElements;
  arguments.samples = own.data();
  arguments.x = {actual.data(), kElements};
  cuda::update(arguments, nullptr);
  synchronize();
  EXPECT_LT(relative_difference(floats(actual), expected), 1e-6);
}

}  // namespace
}  // namespace dpm::test
