#include "sampling/batch_results.h"

#include <cstring>
#include <utility>

namespace dpm {
namespace {

/// Copies `count` of the states, from number `first` on, to element `to` of `images`, in the form that `images` has.
void copy_to(const SampleStates& states, const StateSource& source, std::uint32_t first, std::uint32_t count,
             RunImages& images, std::uint64_t to) {
  const std::uint64_t from = first * source.image;
  const std::uint64_t elements = count * source.image;
  if (source.brought == nullptr) {
    source.registers.download(states.row + first, count, images, to);
  } else if (images.floats.empty()) {
    std::memcpy(images.levels.data() + to, static_cast<const std::uint8_t*>(source.brought->values()) + from, elements);
  } else {
    std::memcpy(images.floats.data() + to, static_cast<const float*>(source.brought->values()) + from,
                elements * sizeof(float));
  }
}

/// Copies all states to their places among the request's images.
void copy_to(const SampleStates& states, const StateSource& source, RunImages& images) {
  copy_to(states, source, 0, states.count, images, states.sample * source.image);
}

/// Returns `count` of the states, from number `first` on, as images of their own.
RunImages alone(const SampleStates& states, const StateSource& source, std::uint32_t first, std::uint32_t count,
                bool as_levels) {
  RunImages images(count * source.image, as_levels);
  copy_to(states, source, first, count, images, 0);
  return images;
}

}  // namespace

bool is_wanted(const BatchRequest& request, std::uint32_t records, bool is_last) {
  return is_last || is_due(request.run.snapshot_every, records) || is_due(request.run.preview_every, records);
}

void keep_and_show(const SampleStates& states, const StateSource& source, const BatchRequest& request,
                   RunResult& result) {
  const RunRequest& run = request.run;
  if (is_due(run.snapshot_every, states.records)) {
    copy_to(states, source, result.snapshots[states.records / run.snapshot_every - 1].images);
  }
  if (!is_due(run.preview_every, states.records) || !request.data_predictions.empty()) return;
  const std::uint32_t at_once = request.previews_rows ? states.count : 1;
  for (std::uint32_t i = 0; i < states.count; i += at_once) {
    run.preview(states.records, states.sample + i, alone(states, source, i, at_once, run.levels));
  }
}

void give(const SampleStates& states, const StateSource& source, const BatchRequest& request, RunResult& result) {
  const RunRequest& run = request.run;
  copy_to(states, source, result.images);
  // Programs that are shorter than the request's longest repeat their last state in the later snapshots.
  if (run.snapshot_every > 0) {
    for (std::size_t i = states.records / run.snapshot_every; i < result.snapshots.size(); ++i) {
      copy_to(states, source, result.snapshots[i].images);
    }
  }
  if (!request.image) return;
  for (std::uint32_t i = 0; i < states.count; ++i) {
    request.image(states.sample + i, alone(states, source, i, 1, run.levels));
  }
}

}  // namespace dpm
