// Which tensors an update has to have.
#include "engine/update_check.h"

#include <gtest/gtest.h>

#include "registers.h"

namespace dpm::test {
namespace {

/// Whether an update by `record` is refused where there is no second output.
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

/// Whether an update by `record` is refused where there is no guide.
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
  // What it multiplies by 0 is read all the same.
  record.v1 = 0;
  EXPECT_TRUE(refused_without_head(record));
}

}  // namespace
}  // namespace dpm::test
