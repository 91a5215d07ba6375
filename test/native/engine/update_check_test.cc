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
