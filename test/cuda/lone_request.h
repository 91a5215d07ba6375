// The result of a request in a batch without other requests.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/error.h"
#include "sampling/batch.h"
#include "sliced_network.h"

namespace dpm::test {

inline BatchOptions batch_of_sliced() { return {SlicedNetwork::kMostBatch, SlicedNetwork::kMostBatch}; }

/// Returns the request's images. Throws the error that ends the request.
inline std::vector<float> images_of(Batch& batch, const RunRequest& run) {
  std::vector<float> images;
  auto request = std::make_unique<BatchRequest>();
  request->keys.assign(run.samples.size(), 0.0);
  request->run = run;
  request->finished = [&](BatchOutcome outcome) {
    if (outcome.code != ErrorCode::kOk) throw Error(outcome.code, outcome.message);
    images = std::move(outcome.result.images.floats);
  };
  batch.submit(std::move(request));
  while (batch.has_work()) batch.take_turn();
  return images;
}

}  // namespace dpm::test
