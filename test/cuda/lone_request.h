// What a request comes to in a lane that has no other.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/error.h"
#include "sampling/lane.h"
#include "sliced_network.h"

namespace dpm::test {

inline LaneOptions lane_of_sliced() { return {SlicedNetwork::kMostBatch, SlicedNetwork::kMostBatch}; }

/// Throws what ends the request.
inline std::vector<float> images_of(Lane& lane, const RunRequest& run) {
  std::vector<float> images;
  auto request = std::make_unique<LaneRequest>();
  request->keys.assign(run.samples.size(), 0.0);
  request->run = run;
  request->finished = [&](LaneOutcome outcome) {
    if (outcome.code != ErrorCode::kOk) throw Error(outcome.code, outcome.message);
    images = std::move(outcome.result.images.floats);
  };
  lane.submit(std::move(request));
  while (lane.has_work()) lane.take_turn();
  return images;
}

}  // namespace dpm::test
