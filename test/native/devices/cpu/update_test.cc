// Test of the fused update on every instruction set against the reference device's literal reading of record.h.
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "bits_of.h"
#include "core/error.h"
#include "graph_runner.h"
#include "noise_bits.h"
#include "normal_of.h"
#include "registers.h"

namespace dpm::test {
namespace {

TEST(Update, RandomRecordsAgreeWithTheReference) {
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    EXPECT_LT(update_difference(Device::open("cpu", {2, false}), 150), 1e-5) << isa;
  }
}

dpm_record noise_alone() {
  dpm_record record{};
  record.flags = DPM_RECORD_WRITE_X;
  record.variance = DPM_VARIANCE_SCALAR;
  record.deviation = 1;
  return record;
}

/// Normals of two streams, one behind the other, as a device draws them.
std::vector<float> drawn(const std::string& device_name, const dpm_update_sample (&samples)[2],
                         std::uint64_t elements) {
  const auto device = Device::open(device_name, {2, false});
  const auto buffer = device->allocate(2 * elements * sizeof(float));
  dpm_update update{};
  update.batch = 2;
  update.elements = elements;
  update.samples = samples;
  update.x = buffer->view(elements);
  device->update(update);
  std::vector<float> z(2 * elements);
  buffer->download(0, z.data(), buffer->bytes());
  return z;
}

TEST(Update, NormalsAreStandardAndDistinctPerStream) {
  constexpr std::uint64_t kElements = 200001;
  const dpm_record record = noise_alone();
  const dpm_update_sample samples[] = {{&record, 0, 0, 0, 1, 0, 0, 0, 0}, {&record, 1, 1, 1, 1, 0, 1, 0, 0}};
  const std::vector<float> z = drawn("cpu", samples, kElements);
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  double product = 0;
  for (std::uint64_t i = 0; i < kElements; ++i) {
    const double a = z[i];
    sum += a;
    squares += a * a;
    fourth += a * a * a * a;
    product += a * static_cast<double>(z[kElements + i]);
  }
  const double n = kElements;
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96 / n));
  EXPECT_NEAR(product / n, 0, 5 / std::sqrt(n));
}

TEST(Update, NormalsHaveTheSameBitsEverywhere) {
  // test/package/platforms/evaluation.mjs draws the same ones; all words of counter and key take part.
  constexpr std::uint64_t kElements = 1003;
  const dpm_record record = noise_alone();
  const dpm_update_sample samples[] = {{&record, 0, 0, 0, 0x89ABCDEF, 0x01234567, 2, 3, 0},
                                       {&record, 1, 1, 1, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0xFFFFFFFF, 5}};
  std::vector<float> expected;
  for (const dpm_update_sample& sample : samples) {
    for (std::uint32_t i = 0; i < kElements; ++i) {
      const PhiloxWords words =
          philox4x32(i / 4, sample.record_index, sample.sample_index, sample.draw, sample.seed_low, sample.seed_high);
      expected.push_back(normal_of(words, i));
    }
  }
  EXPECT_EQ(drawn("cuda:0", samples, kElements), expected);
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    EXPECT_EQ(drawn("cpu", samples, kElements), expected) << isa;
  }
  EXPECT_EQ(bits_of(expected), kNoiseBits);
}

class UpdateRefusals : public testing::TestWithParam<const char*> {};

TEST_P(UpdateRefusals, RecordsThatTouchAbsentTensors) {
  const auto device = Device::open(GetParam(), {1, false});
  const auto buffer = device->allocate(64);
  const auto refused = [&](const std::function<void(dpm_record&)>& spoil, bool with_x = true) {
    dpm_record record{};
    spoil(record);
    const dpm_update_sample sample{&record, 0, 0, 0, 0, 0, 0, 0, 0};
    dpm_update update{};
    update.batch = 1;
    update.elements = 16;
    update.samples = &sample;
    if (with_x) update.x = buffer->view(16);
    try {
      device->update(update);
    } catch (const Error& error) {
      return error.code() == ErrorCode::kArgument;
    }
    return false;
  };
  EXPECT_FALSE(refused([](dpm_record&) {}));
  EXPECT_TRUE(refused([](dpm_record&) {}, false));
  EXPECT_TRUE(refused([](dpm_record& r) { r.flags = DPM_RECORD_READ_Y; }));
  EXPECT_TRUE(refused([](dpm_record& r) { r.flags = DPM_RECORD_WRITE_Y; }));
  EXPECT_TRUE(refused([](dpm_record& r) { r.flags = DPM_RECORD_STORE_HISTORY; }));
  EXPECT_TRUE(refused([](dpm_record& r) { r.x0_out = 1; }));
  const auto writes_x = [&](const std::function<void(dpm_record&)>& spoil) {
    return refused([&](dpm_record& r) {
      r.flags = DPM_RECORD_WRITE_X;
      spoil(r);
    });
  };
  EXPECT_TRUE(writes_x([](dpm_record& r) { r.x_y = 1; }));
  EXPECT_TRUE(writes_x([](dpm_record& r) { r.x_out = 1; }));
  EXPECT_TRUE(writes_x([](dpm_record& r) { r.x_history[3] = 1; }));
  EXPECT_TRUE(writes_x([](dpm_record& r) { r.variance = DPM_VARIANCE_LOG; }));
  EXPECT_TRUE(writes_x([](dpm_record& r) {
    r.variance = DPM_VARIANCE_LINEAR;
    r.v2 = r.eps_out = 1;
  }));
  EXPECT_TRUE(refused([](dpm_record& r) { r.slot = 8; }));
  EXPECT_TRUE(refused([](dpm_record& r) { r.clip = 3; }));
  EXPECT_TRUE(refused([](dpm_record& r) {
    r.clip = DPM_CLIP_DYNAMIC;
    r.clip_low = 1e9F;
    r.clip_ceiling = 1;
  }));
  const auto with_ceiling = [&](float ceiling) {
    return refused([&](dpm_record& r) {
      r.clip = DPM_CLIP_DYNAMIC;
      r.clip_ceiling = ceiling;
    });
  };
  EXPECT_TRUE(with_ceiling(0));
  EXPECT_TRUE(with_ceiling(std::numeric_limits<float>::quiet_NaN()));
  EXPECT_FALSE(with_ceiling(std::numeric_limits<float>::infinity()));
}

INSTANTIATE_TEST_SUITE_P(Devices, UpdateRefusals, testing::Values("cpu", "reference"));

TEST(Reduce, AgreesWithTheReference) { EXPECT_LT(reduce_difference(Device::open("cpu", {2, false})), 1e-9); }

}  // namespace
}  // namespace dpm::test
