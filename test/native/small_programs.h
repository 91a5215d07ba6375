// Programs for the small network that use most of a record's features.
#pragma once

#include <vector>

#include "sampling/run.h"

namespace dpm::test {

/// Returns a program of `count` records: noise of falling strength, a two-step history, y in every third record.
inline std::vector<dpm_record> small_program(std::uint32_t count, float strength) {
  std::vector<dpm_record> records;
  for (std::uint32_t i = 0; i < count; ++i) {
    dpm_record record{};
    record.flags = DPM_RECORD_EVALUATE | DPM_RECORD_WRITE_X | DPM_RECORD_STORE_HISTORY;
    record.slot = i % 2;
    record.time = static_cast<float>(900 - 70 * i);
    record.input_scale = i % 2 == 0 ? 1.0F : 0.9F;
    record.x0_in = 1;
    record.x0_out = -0.5F;
    record.clip = DPM_CLIP_STATIC;
    record.clip_low = -1;
    record.clip_high = 1;
    record.history_x0 = 1;
    record.x_x = 0.4F;
    record.x_history[i % 2] = 0.5F;
    record.x_history[(i + 1) % 2] = 0.1F;
    record.variance = i + 1 < count ? DPM_VARIANCE_SCALAR : DPM_VARIANCE_NONE;
    record.deviation = strength / static_cast<float>(i + 1);
    if (i % 3 == 1) record.flags |= DPM_RECORD_WRITE_Y;
    record.y_x = 1;
    record.y_out = 0.25F;
    if (i % 3 == 2) record.flags |= DPM_RECORD_READ_Y;
    if (i == 3) record.flags &= ~static_cast<std::uint32_t>(DPM_RECORD_EVALUATE);
    records.push_back(record);
  }
  return records;
}

/// Returns `count` samples that alternate between a program of five records and one of eight.
inline RunRequest mixed_request(std::uint32_t count, std::uint32_t batch) {
  RunRequest request;
  request.records = small_program(5, 0.5F);
  const auto second = small_program(8, 0.2F);
  request.records.insert(request.records.end(), second.begin(), second.end());
  request.programs = {{0, 5, 2, 1.0F}, {5, 8, 2, 0.7F}};
  for (std::uint32_t i = 0; i < count; ++i) {
    request.samples.push_back({i % 2, 42, 7, i, static_cast<std::int32_t>(i % 3)});
  }
  request.batch = batch;
  return request;
}

/// Returns `count` samples of one program of eight records, one of which clips dynamically: they evaluate in the same
/// steps.
inline RunRequest uniform_request(std::uint32_t count, std::uint32_t batch) {
  RunRequest request = mixed_request(count, batch);
  for (SampleIdentity& sample : request.samples) sample.program = 1;
  dpm_record& dynamic = request.records[10];
  dynamic.clip = DPM_CLIP_DYNAMIC;
  dynamic.clip_low = 0.9F;
  dynamic.clip_high = 0.5F;
  dynamic.clip_ceiling = 1.25F;
  return request;
}

/// Returns `count` samples without a label of one program of `steps` records: they evaluate in the same steps.
inline RunRequest short_request(std::uint32_t count, std::uint32_t steps) {
  RunRequest request;
  request.records = small_program(steps, 0.5F);
  request.programs = {{0, steps, 2, 1.0F}};
  for (std::uint32_t i = 0; i < count; ++i) request.samples.push_back({0, 42, 7, i, -1});
  request.batch = count;
  return request;
}

}  // namespace dpm::test
