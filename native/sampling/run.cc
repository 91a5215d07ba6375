#include "sampling/run.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "sampling/batch.h"
#include "sampling/guided_evaluator.h"
#include "sampling/request_check.h"

namespace dpm {
namespace {

std::unique_ptr<Evaluator> evaluator_of(Network& network, std::vector<Guide> guides) {
  if (guides.empty()) return std::make_unique<NetworkEvaluator>(network);
  return std::make_unique<GuidedEvaluator>(network, std::move(guides));
}

BatchOptions options_of(const RunRequest& request) {
  const auto count = static_cast<std::uint32_t>(request.samples.size());
  BatchOptions options;
  options.slots = std::min(request.batch, count);
  options.rows = request.has_guided_samples() ? 2 * options.slots : options.slots;
  options.fit = false;
  options.alone = true;
  return options;
}

}  // namespace

RunResult run_programs(Network& network, RunRequest run, const std::atomic<bool>& stopping) {
  check_request(run, network.shape());
  check_guides(run, network);
  auto evaluator = evaluator_of(network, std::exchange(run.guides, {}));
  Batch batch(std::move(evaluator), options_of(run));
  BatchOutcome outcome;
  auto request = std::make_unique<BatchRequest>();
  request->keys.resize(run.samples.size());
  std::iota(request->keys.begin(), request->keys.end(), 0.0);
  request->run = std::move(run);
  request->previews_rows = true;
  request->finished = [&outcome](BatchOutcome ended) { outcome = std::move(ended); };
  batch.submit(std::move(request));
  while (batch.has_work()) {
    if (stopping.load(std::memory_order_relaxed)) {
      batch.end(ErrorCode::kClosed, "the engine was closed");
    } else {
      batch.take_turn();
    }
  }
  if (outcome.code != ErrorCode::kOk) throw Error(outcome.code, outcome.message);
  return std::move(outcome.result);
}

}  // namespace dpm
