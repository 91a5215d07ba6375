// Fixture of a batch on a small network, and requests whose steps are easily counted.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "sampling/batch_requests.h"

namespace dpm::test {

class OneBatch : public testing::Test {
 protected:
  /// Returns a request of `samples` samples whose programs have `records` records that evaluate.
  static RunRequest plain(std::uint32_t records, std::uint32_t samples = 1) {
    RunRequest run;
    run.records = small_program(records, 0.5F);
    for (dpm_record& record : run.records) record.flags |= DPM_RECORD_EVALUATE;
    run.programs = {{0, records, 2, 1.0F}};
    for (std::uint32_t i = 0; i < samples; ++i) run.samples.push_back({0, 1, 2, i, 0});
    return run;
  }

  void turns(Batch& batch, int count) {
    for (int i = 0; i < count; ++i) batch.take_turn();
  }

  SmallNetwork small_;
  std::shared_ptr<Network> network_ = small_.load("cpu");
  std::atomic<bool> running_{false};
};

}  // namespace dpm::test
