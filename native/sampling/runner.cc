#include "sampling/runner.h"

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "sampling/evaluator.h"
#include "sampling/flight.h"
#include "sampling/guided_evaluator.h"
#include "sampling/request_check.h"

namespace dpm {
namespace {

std::unique_ptr<NetworkEvaluator> evaluator_of(Network& network, const RunRequest& request) {
  if (request.guides.empty()) return std::make_unique<NetworkEvaluator>(network);
  return std::make_unique<GuidedEvaluator>(network, request);
}

class Run {
 public:
  Run(Network& network, const RunRequest& request, const std::atomic<bool>& stopping)
      : evaluator_(evaluator_of(network, request)),
        request_(request),
        stopping_(stopping),
        image_(network.shape().image),
        total_(total_records(request)),
        result_(empty_result(request, image_)) {}

  RunResult run() {
    const auto count = static_cast<std::uint32_t>(request_.samples.size());
    const std::uint32_t batch = std::min(request_.batch, count);
    evaluator_->reserve(Flight::most_evaluated(request_, batch));
    for (std::uint32_t first = 0; first < count; first += batch) fly(first, std::min(batch, count - first));
    return std::move(result_);
  }

 private:
  void fly(std::uint32_t first, std::uint32_t count) {
    Flight flight(*evaluator_, request_, first, count);
    std::size_t snapshot = 0;
    check_stopped();
    if (flight.begin_trajectory() && !request_.watched && result_.snapshots.empty())
      done_ += flight.finish_trajectory();
    for (std::uint32_t step = 1;; ++step) {
      check_stopped();
      if (flight.begin_step() == 0) break;
      const bool is_snapshot = snapshot < result_.snapshots.size() && result_.snapshots[snapshot].record == step;
      const bool is_preview = request_.preview_every > 0 && step % request_.preview_every == 0;
      const std::uint32_t done = flight.end_step(is_snapshot || is_preview);
      if (is_snapshot) flight.download(result_.snapshots[snapshot++].images, first * image_);
      tell(done);
      if (is_preview) {
        RunImages images(count * image_, request_.levels);
        flight.download(images, 0);
        request_.preview(step, first, std::move(images));
      }
    }
    tell(flight.settle());
    flight.download(result_.images, first * image_);
    // Programs that are shorter than the longest keep what they ended with.
    for (; snapshot < result_.snapshots.size(); ++snapshot) {
      flight.download(result_.snapshots[snapshot].images, first * image_);
    }
  }

  void tell(std::uint32_t done) {
    done_ += done;
    if (done > 0 && request_.progress) request_.progress(done_, total_);
  }

  void check_stopped() const {
    if (request_.cancelled && request_.cancelled->load(std::memory_order_relaxed)) {
      throw Error(ErrorCode::kAborted,
                  "sampling was aborted after " + std::to_string(done_) + " of " + std::to_string(total_) + " records");
    }
    if (stopping_.load(std::memory_order_relaxed)) throw Error(ErrorCode::kClosed, "the engine was closed");
  }

  std::unique_ptr<NetworkEvaluator> evaluator_;
  const RunRequest& request_;
  const std::atomic<bool>& stopping_;
  const std::uint64_t image_;
  const std::uint64_t total_;
  std::uint64_t done_ = 0;
  RunResult result_;
};

}  // namespace

RunResult run_programs(Network& network, const RunRequest& request, const std::atomic<bool>& stopping) {
  check_request(request, network.shape());
  check_guides(request, network);
  return Run(network, request, stopping).run();
}

}  // namespace dpm
