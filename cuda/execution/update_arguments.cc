#include "cuda/execution/update_arguments.h"

#include <algorithm>

#include "cuda/device/device.h"

namespace dpm::cuda {

Rows rows_of(const dpm_view& view) {
  if (view.buffer == nullptr) return {nullptr, 0};
  return {Handle::of(view.buffer).memory.as<float>() + view.offset, view.stride};
}

UpdateSample update_sample_of(const dpm_update_sample& sample) {
  return {*sample.record,   sample.row,          sample.network_row,  sample.noise_row, sample.seed_low,
          sample.seed_high, sample.sample_index, sample.record_index, sample.draw,      0};
}

bool clips_dynamically(const UpdateSample& sample) { return sample.record.clip == DPM_CLIP_DYNAMIC; }

UpdateArguments arguments_of(const dpm_update& update) {
  UpdateArguments arguments{};
  arguments.batch = update.batch;
  arguments.elements = update.elements;
  arguments.x = rows_of(update.x);
  arguments.y = rows_of(update.y);
  arguments.out = rows_of(update.out);
  arguments.head = rows_of(update.head);
  arguments.guide = rows_of(update.guide);
  arguments.noise = rows_of(update.noise);
  std::transform(update.history, update.history + DPM_MAX_HISTORY, arguments.history, rows_of);
  return arguments;
}

}  // namespace dpm::cuda
