#include "sampling/lane_results.h"

#include <cstring>
#include <utility>

namespace dpm {
namespace {

/// The state into `images` from element `to` on, in the form that these have.
void copy_to(const SampleState& state, RunImages& images, std::uint64_t to) {
  if (state.brought == nullptr) {
    state.registers.download(state.row, 1, images, to);
  } else if (images.floats.empty()) {
    std::memcpy(images.levels.data() + to, state.brought->values(), state.image);
  } else {
    std::memcpy(images.floats.data() + to, state.brought->values(), state.image * sizeof(float));
  }
}

/// Into its place among the request's.
void copy_to(const SampleState& state, RunImages& images) { copy_to(state, images, state.sample * state.image); }

RunImages alone(const SampleState& state, bool as_levels) {
  RunImages images(state.image, as_levels);
  copy_to(state, images, 0);
  return images;
}

}  // namespace

bool is_wanted(const LaneRequest& request, std::uint32_t records, bool is_last) {
  return is_last || is_due(request.run.snapshot_every, records) || is_due(request.run.preview_every, records);
}

void keep_and_show(const SampleState& state, const LaneRequest& request, RunResult& result) {
  const RunRequest& run = request.run;
  if (is_due(run.snapshot_every, state.records)) {
    copy_to(state, result.snapshots[state.records / run.snapshot_every - 1].images);
  }
  if (is_due(run.preview_every, state.records) && request.data_predictions.empty()) {
    run.preview(state.records, state.sample, alone(state, run.levels));
  }
}

void give(const SampleState& state, const LaneRequest& request, RunResult& result) {
  const RunRequest& run = request.run;
  copy_to(state, result.images);
  // Programs that are shorter than the request's longest keep what they ended with.
  if (run.snapshot_every > 0) {
    for (std::size_t i = state.records / run.snapshot_every; i < result.snapshots.size(); ++i) {
      copy_to(state, result.snapshots[i].images);
    }
  }
  if (request.image) request.image(state.sample, alone(state, run.levels));
}

}  // namespace dpm
