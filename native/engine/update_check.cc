#include "engine/update_check.h"

#include <algorithm>

#include "core/error.h"

namespace dpm {
namespace {

bool is_there(const dpm_view& view) { return view.buffer != nullptr; }
bool has(const dpm_record& record, dpm_record_flag flag) { return (record.flags & flag) != 0; }

void check_combination(const dpm_update& update, std::uint32_t slot, float y, float out, float guide,
                       const float* history) {
  require(y == 0.0F || is_there(update.y), "a record reads y, which is absent");
  require(out == 0.0F || is_there(update.out), "a record uses the network's output, which is absent");
  require(guide == 0.0F || is_there(update.guide), "a record uses a guide, which is absent");
  for (std::uint32_t j = 0; j < DPM_MAX_HISTORY; ++j) {
    require(history[j] == 0.0F || j == slot || is_there(update.history[j]),
            "a record reads a past prediction that is absent");
  }
}

void check_tensors(const dpm_update& update, const dpm_record& record) {
  require(is_there(has(record, DPM_RECORD_READ_Y) ? update.y : update.x), "a record reads a register that is absent");
  require(record.x0_out == 0.0F || is_there(update.out), "a record uses the network's output, which is absent");
  require(record.history_guide == 0.0F || is_there(update.guide), "a record uses a guide, which is absent");
  require(!has(record, DPM_RECORD_STORE_HISTORY) || is_there(update.history[record.slot]),
          "a record keeps a prediction in a slot that is absent");
  if (has(record, DPM_RECORD_WRITE_X)) {
    require(is_there(update.x), "a record writes x, which is absent");
    check_combination(update, record.slot, record.x_y, record.x_out, record.x_guide, record.x_history);
    require(record.x_guide_variance == 0.0F || is_there(update.guide), "a record uses a guide, which is absent");
    const bool linear = record.variance == DPM_VARIANCE_LINEAR;
    require(!(record.variance == DPM_VARIANCE_LOG || (linear && record.v1 != 0.0F)) || is_there(update.head),
            "a record uses a variance head, which is absent");
    require(!(linear && record.v2 != 0.0F && record.eps_out != 0.0F) || is_there(update.out),
            "a record uses the network's output, which is absent");
  }
  if (has(record, DPM_RECORD_WRITE_Y)) {
    require(is_there(update.y), "a record writes y, which is absent");
    require(record.y_x == 0.0F || is_there(update.x), "a record reads x, which is absent");
    check_combination(update, record.slot, record.y_y, record.y_out, record.y_guide, record.y_history);
  }
}

}  // namespace

void check_record(const dpm_record& record) {
  require(record.slot < DPM_MAX_HISTORY, "a record's history slot is out of range");
  require(record.clip <= DPM_CLIP_DYNAMIC && record.variance <= DPM_VARIANCE_LOG, "a record has an unknown mode");
  require(record.clip != DPM_CLIP_DYNAMIC || (record.clip_low >= 0.0F && record.clip_low <= 1.0F),
          "a dynamic clipping quantile is outside [0, 1]");
  require(record.clip != DPM_CLIP_DYNAMIC || record.clip_ceiling > 0.0F,
          "a dynamic clipping ceiling is not a positive number");
}

void check_update(const dpm_update& update) {
  require(update.elements > 0 && update.elements <= 0x7FFFFFFF, "a sample has no or too many elements");
  for (std::uint32_t j = 0; j < update.batch; ++j) {
    check_record(*update.samples[j].record);
    check_tensors(update, *update.samples[j].record);
  }
}

void check_step(const dpm_step& step, std::uint32_t rows) {
  const dpm_update& update = step.update;
  check_update(update);
  require(update.batch > 0, "a step has no samples");
  require(update.batch <= rows && step.guided_count <= rows - update.batch && step.least_rows <= rows,
          "a step has more rows than were reserved");
  require(step.guided_count <= update.batch && step.kept_count <= update.batch, "a step names a sample twice");
  for (std::uint32_t j = 0; j < update.batch; ++j) {
    require(has(*update.samples[j].record, DPM_RECORD_EVALUATE), "a record of a step does not evaluate");
    require(update.samples[j].network_row == j, "a sample's row of the network is not its place in the step");
  }
  const auto is_sample = [&](std::uint32_t sample) { return sample < update.batch; };
  require(std::all_of(step.guided, step.guided + step.guided_count, is_sample) &&
              std::all_of(step.kept, step.kept + step.kept_count, is_sample),
          "a step has no such sample");
  require(step.kept_count == 0 || is_there(step.kept_out), "a step keeps predictions nowhere");
}

void check_reduce(const dpm_reduce& reduce) {
  require(reduce.kind <= DPM_REDUCE_MAX_ABS, "a reduction is unknown");
  require(is_there(reduce.a), "a reduction needs a tensor");
  require(reduce.kind != DPM_REDUCE_DOT || is_there(reduce.b), "a dot product needs two tensors");
}

}  // namespace dpm
