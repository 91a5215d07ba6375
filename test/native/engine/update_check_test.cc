// Test of the tensors that an update requires.
#include "engine/update_check.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <utility>
#include <vector>

#include "registers.h"

namespace dpm::test {
namespace {

/// Returns whether an update by `record` is refused where there is no second output.
bool refused_without_head(const dpm_record& record) {
  const Registers registers(Device::open("cpu", {1, false}), 4, 1);
  dpm_update update = registers.request(false);
  update.head = {};
  const dpm_update_sample sample{&record, 0, 0, 0, 0, 0, 0, 0, 0};
  update.batch = 1;
  update.samples = &sample;
  return code_of([&] { check_update(update); }) == ErrorCode::kArgument;
}

bool refused(const dpm_record& record) {
  return code_of([&] { check_record(record); }) == ErrorCode::kArgument;
}

/// Returns whether an update by `record` is refused where there is no guide.
bool refused_without_guide(const dpm_record& record) {
  const Registers registers(Device::open("cpu", {1, false}), 4, 1);
  dpm_update update = registers.request(false);
  update.guide = {};
  const dpm_update_sample sample{&record, 0, 0, 0, 0, 0, 0, 0, 0};
  update.batch = 1;
  update.samples = &sample;
  return code_of([&] { check_update(update); }) == ErrorCode::kArgument;
}

TEST(UpdateCheck, ARecordThatAGuideMovesNeedsOne) {
  dpm_record record{};
  record.flags = DPM_RECORD_WRITE_X | DPM_RECORD_WRITE_Y;
  EXPECT_FALSE(refused_without_guide(record));
  for (float dpm_record::* const coefficient :
       {&dpm_record::history_guide, &dpm_record::x_guide, &dpm_record::x_guide_variance, &dpm_record::y_guide}) {
    dpm_record guided = record;
    guided.*coefficient = 1;
    EXPECT_TRUE(refused_without_guide(guided));
  }
}

TEST(UpdateCheck, RecordsStayInTheirRanges) {
  dpm_record record{};
  EXPECT_FALSE(refused(record));
  record.slot = DPM_MAX_HISTORY - 1;
  EXPECT_FALSE(refused(record));
  record.slot = DPM_MAX_HISTORY;
  EXPECT_TRUE(refused(record));
  record = {};
  record.variance = DPM_VARIANCE_LOG;
  EXPECT_FALSE(refused(record));
  record.variance = DPM_VARIANCE_LOG + 1;
  EXPECT_TRUE(refused(record));
}

TEST(UpdateCheck, DynamicClippingHasAQuantileAndACeiling) {
  const auto clips = [](std::uint32_t clip, float low, float ceiling) {
    dpm_record record{};
    record.clip = clip;
    record.clip_low = low;
    record.clip_ceiling = ceiling;
    return !refused(record);
  };
  for (const float quantile : {0.0F, 0.5F, 1.0F}) EXPECT_TRUE(clips(DPM_CLIP_DYNAMIC, quantile, 1)) << quantile;
  for (const float quantile : {-0.1F, 1.1F}) EXPECT_FALSE(clips(DPM_CLIP_DYNAMIC, quantile, 1)) << quantile;
  EXPECT_TRUE(clips(DPM_CLIP_DYNAMIC, 0.5F, 1e-3F));
  EXPECT_FALSE(clips(DPM_CLIP_DYNAMIC, 0.5F, 0));
  EXPECT_FALSE(clips(DPM_CLIP_DYNAMIC, 0.5F, -1));
  EXPECT_TRUE(clips(DPM_CLIP_NONE, -1, -1));
  EXPECT_FALSE(clips(DPM_CLIP_DYNAMIC + 1, 0.5F, 1));
}

TEST(UpdateCheck, ASampleHasOneElementAtLeast) {
  dpm_update update{};
  const auto takes = [&](std::uint64_t elements) {
    update.elements = elements;
    return code_of([&] { check_update(update); }) == ErrorCode::kOk;
  };
  EXPECT_FALSE(takes(0));
  EXPECT_TRUE(takes(1));
  EXPECT_TRUE(takes(0x7FFFFFFF));
  EXPECT_FALSE(takes(0x80000000));
}

TEST(UpdateCheck, AVarianceNeedsAHeadWhereItReadsOne) {
  dpm_record record{};
  record.flags = DPM_RECORD_WRITE_X;
  record.variance = DPM_VARIANCE_LINEAR;
  record.v0 = 0.5F;
  record.v2 = 1;
  record.eps_out = 1;
  EXPECT_FALSE(refused_without_head(record));
  record.v1 = -0.25F;
  EXPECT_TRUE(refused_without_head(record));
  record.flags = DPM_RECORD_WRITE_Y;
  EXPECT_FALSE(refused_without_head(record));
  record.flags = DPM_RECORD_WRITE_X;
  record.variance = DPM_VARIANCE_LOG;
  EXPECT_TRUE(refused_without_head(record));
  // The head is read even if its factor is 0.
  record.v1 = 0;
  EXPECT_TRUE(refused_without_head(record));
}

/// A step of two samples, both guided and kept, with the memory that it refers to.
struct GoodStep {
  GoodStep() {
    for (std::uint32_t j = 0; j < samples.size(); ++j) {
      records[j].flags = DPM_RECORD_EVALUATE | DPM_RECORD_WRITE_X;
      samples[j].record = &records[j];
      samples[j].row = samples[j].network_row = j;
    }
    step.update = registers.request(false);
    step.update.batch = 2;
    step.update.samples = samples.data();
    step.guided = step.kept = which.data();
    step.guided_count = step.kept_count = 2;
    step.kept_out = step.update.out;
  }

  Registers registers{Device::open("cpu", {1, false}), 4, 6};
  std::array<dpm_record, 3> records{};
  std::array<dpm_update_sample, 3> samples{};
  std::array<std::uint32_t, 3> which{0, 1, 1};
  dpm_step step{};
};

TEST(UpdateCheck, StepsAreOfSamplesAndRowsThatAreThere) {
  constexpr std::uint32_t kReserved = 6;
  const auto code_after = [](const std::function<void(GoodStep&)>& change) {
    GoodStep good;
    change(good);
    return code_of([&] { check_step(good.step, kReserved); });
  };
  EXPECT_EQ(code_after([](GoodStep&) {}), ErrorCode::kOk);
  EXPECT_EQ(code_after([](GoodStep& s) { s.step.least_rows = kReserved; }), ErrorCode::kOk);
  const std::vector<std::pair<const char*, std::function<void(GoodStep&)>>> wrong = {
      {"no samples", [](GoodStep& s) { s.step.update.batch = 0; }},
      {"a record that does not evaluate", [](GoodStep& s) { s.records[1].flags = DPM_RECORD_WRITE_X; }},
      {"a row of another sample", [](GoodStep& s) { s.samples[1].network_row = 0; }},
      {"more rows than there are", [](GoodStep& s) { s.step.least_rows = kReserved + 1; }},
      {"a sample guided twice", [](GoodStep& s) { s.step.guided_count = 3; }},
      {"a sample kept twice", [](GoodStep& s) { s.step.kept_count = 3; }},
      {"a guided sample that is none", [](GoodStep& s) { s.which[1] = 2, s.step.kept_count = 0; }},
      {"a kept sample that is none", [](GoodStep& s) { s.which[1] = 2, s.step.guided_count = 0; }},
      {"predictions that are kept nowhere", [](GoodStep& s) { s.step.kept_out = {}; }},
  };
  for (const auto& [name, change] : wrong) EXPECT_EQ(code_after(change), ErrorCode::kArgument) << name;
  GoodStep many;
  EXPECT_EQ(code_of([&] { check_step(many.step, 3); }), ErrorCode::kArgument) << "guided rows beyond the last";
}

}  // namespace
}  // namespace dpm::test
