// Random runs of the small network: programs of every kind of record, samples with and without labels and guidance.
#pragma once

#include "random_values.h"
#include "small_network.h"
#include "small_programs.h"

namespace dpm::test {

/// Returns a program that keeps its numbers small for any prediction of the network.
inline std::vector<dpm_record> random_program(RandomValues& random, std::uint32_t count, bool has_second_output) {
  std::vector<dpm_record> records = small_program(count, 0.4F);
  for (std::uint32_t i = 0; i < count; ++i) {
    dpm_record& record = records[i];
    record.time = static_cast<float>(random.between(0, 999));
    record.flags |= DPM_RECORD_EVALUATE;
    if (i > 0 && random.between(0, 4) == 0) record.flags &= ~static_cast<std::uint32_t>(DPM_RECORD_EVALUATE);
    if (random.between(0, 3) == 0) record.flags ^= DPM_RECORD_WRITE_Y;
    if (random.between(0, 2) == 0) {
      record.clip = DPM_CLIP_DYNAMIC;
      record.clip_low = 0.95F;
      record.clip_high = 0.5F;
      record.clip_ceiling = 2;
    }
    record.x_out = 0.1F * static_cast<float>(random.between(-1, 1));
    if (has_second_output && random.between(0, 1) == 0) {
      record.variance = random.between(0, 1) == 0 ? DPM_VARIANCE_LOG : DPM_VARIANCE_LINEAR;
      record.v0 = -2;
      record.v1 = 0.5F;
      record.low = 0.001F;
      record.high = 0.5F;
    }
    if (random.between(0, 5) == 0) record.variance = DPM_VARIANCE_NONE;
  }
  return records;
}

/// Returns one to three samples of one or two programs.
inline RunRequest random_run(RandomValues& random, bool has_second_output) {
  RunRequest run;
  const int programs = random.between(1, 2);
  for (int program = 0; program < programs; ++program) {
    const auto count =
        static_cast<std::uint32_t>(random.between(0, 7) == 0 ? random.between(1, 80) : random.between(1, 8));
    const auto records = random_program(random, count, has_second_output);
    run.programs.push_back({static_cast<std::uint32_t>(run.records.size()), count, 2, 0.5F});
    run.records.insert(run.records.end(), records.begin(), records.end());
  }
  const auto samples = static_cast<std::uint32_t>(random.between(1, 3));
  constexpr float kWeights[] = {1, 1, 0, 2.5F};
  for (std::uint32_t i = 0; i < samples; ++i) {
    run.samples.push_back({static_cast<std::uint32_t>(random.between(0, programs - 1)), 9, 1,
                           static_cast<std::uint32_t>(random.between(0, 1000)), random.between(-1, 2),
                           kWeights[random.between(0, 3)]});
  }
  run.unconditional_label = random.between(-1, 2);
  const std::size_t state = samples * std::size_t{SmallNetwork::kElements};
  if (random.between(0, 3) == 0) run.init = random.normals(state, 0.5F);
  if (random.between(0, 3) == 0) {
    std::uint32_t noisy = 0;
    for (int program = 0; program < programs; ++program) {
      noisy = std::max(noisy, run.noisy_records(static_cast<std::uint32_t>(program)));
    }
    run.noise = random.normals(noisy * state);
  }
  run.levels = random.between(0, 2) == 0;
  if (random.between(0, 4) == 0) run.snapshot_every = static_cast<std::uint32_t>(random.between(1, 4));
  run.batch = samples;
  return run;
}

}  // namespace dpm::test
