// The fused update on every instruction set against the reference device's literal reading of record.h.
#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"
#include "graph_runner.h"
#include "random_record.h"

namespace dpm::test {
namespace {

constexpr int kRows = 3;

/// Registers of `kRows` samples with the same contents on any device.
struct Registers {
  Registers(const std::shared_ptr<Device>& device, std::uint64_t elements, std::uint32_t seed) : elements(elements) {
    RandomValues random(seed);
    for (auto* buffer : {&x, &y, &out, &head, &noise}) *buffer = filled(device, random);
    for (auto& slot : history) slot = filled(device, random);
  }

  std::shared_ptr<Buffer> filled(const std::shared_ptr<Device>& device, RandomValues& random) const {
    const auto values = random.normals(kRows * elements);
    auto buffer = device->allocate(values.size() * sizeof(float));
    buffer->upload(0, values.data(), buffer->bytes());
    return buffer;
  }

  [[nodiscard]] dpm_update request(bool explicit_noise) const {
    dpm_update update{};
    update.elements = elements;
    update.x = x->view(elements);
    update.y = y->view(elements);
    update.out = out->view(elements);
    update.head = head->view(elements);
    if (explicit_noise) update.noise = noise->view(elements);
    for (int j = 0; j < DPM_MAX_HISTORY; ++j) update.history[j] = history[j]->view(elements);
    return update;
  }

  [[nodiscard]] std::vector<float> contents() const {
    std::vector<float> all;
    for (const auto& buffer :
         {x, y, history[0], history[1], history[2], history[3], history[4], history[5], history[6], history[7]}) {
      std::vector<float> values(kRows * elements);
      buffer->download(0, values.data(), buffer->bytes());
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }

  std::uint64_t elements;
  std::shared_ptr<Buffer> x, y, out, head, noise;
  std::shared_ptr<Buffer> history[DPM_MAX_HISTORY];
};

TEST(Update, RandomRecordsAgreeWithTheReference) {
  const auto reference = Device::open("reference", {});
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    const auto device = Device::open("cpu", {2, false});
    for (std::uint32_t trial = 0; trial < 150; ++trial) {
      RandomValues random(trial);
      const std::uint64_t elements =
          trial % 4 == 0 ? 9000 + trial : static_cast<std::uint64_t>(random.between(1, 1300));
      const Registers expected(reference, elements, trial);
      const Registers actual(device, elements, trial);
      dpm_record records[kRows];
      std::vector<dpm_update_sample> samples;
      for (std::uint32_t n = 0; n < kRows; ++n) {
        records[n] = random_record(random);
        samples.push_back({&records[n], n, n, n, 77 + n, 5, 9 * n, trial, n});
      }
      for (const Registers* registers : {&expected, &actual}) {
        dpm_update update = registers->request(trial % 3 == 0);
        update.batch = kRows;
        update.samples = samples.data();
        (registers == &expected ? reference : device)->update(update);
      }
      ASSERT_LT(relative_difference(actual.contents(), expected.contents()), 1e-5) << isa << ", trial " << trial;
    }
  }
}

TEST(Update, NormalsAreStandardAndDistinctPerStream) {
  const auto device = Device::open("cpu", {2, false});
  constexpr std::uint64_t kElements = 200001;
  dpm_record record{};
  record.flags = DPM_RECORD_WRITE_X;
  record.variance = DPM_VARIANCE_SCALAR;
  record.deviation = 1;
  const auto buffer = device->allocate(2 * kElements * sizeof(float));
  const dpm_update_sample samples[] = {{&record, 0, 0, 0, 1, 0, 0, 0, 0}, {&record, 1, 1, 1, 1, 0, 1, 0, 0}};
  dpm_update update{};
  update.batch = 2;
  update.elements = kElements;
  update.samples = samples;
  update.x = buffer->view(kElements);
  device->update(update);
  std::vector<float> z(2 * kElements);
  buffer->download(0, z.data(), buffer->bytes());
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
  }));
}

INSTANTIATE_TEST_SUITE_P(Devices, UpdateRefusals, testing::Values("cpu", "reference"));

TEST(Reduce, AgreesWithTheReference) {
  const auto reference = Device::open("reference", {});
  const auto device = Device::open("cpu", {2, false});
  for (std::uint32_t kind = 0; kind < 4; ++kind) {
    double results[2][kRows];
    for (const bool is_cpu : {false, true}) {
      const Registers registers(is_cpu ? device : reference, 777, 12);
      dpm_reduce request{kind, kRows, 777, registers.x->view(777), registers.y->view(777), results[is_cpu ? 1 : 0]};
      (is_cpu ? device : reference)->reduce(request);
    }
    for (int n = 0; n < kRows; ++n) EXPECT_NEAR(results[1][n], results[0][n], 1e-9 * std::abs(results[0][n]) + 1e-9);
  }
}

}  // namespace
}  // namespace dpm::test
