// Steps that a device takes as a whole: each is queued while the one before it is on its way.
#include <algorithm>
#include <utility>

#include "sampling/lane.h"

namespace dpm {

bool Lane::is_whole_step() const {
  const auto shows = [this](std::uint32_t slot) { return shows_prediction(slots_[slot]); };
  return step_->is_whole(step_samples_) && std::none_of(running_.begin(), running_.end(), shows);
}

void Lane::queue_step() {
  const double seconds_before = step_->queue(step_samples_, registers_->views(), true);
  arrive(seconds_before);
  queued_rows_ = count_step();
  depart();
}

void Lane::depart() {
  is_queued_ = true;
  for (const std::uint32_t index : running_) {
    if (slots_[index].is_free()) continue;
    Arrival arrival = pass(index);
    const LaneRequest& request = *arrival.owner->request;
    try {
      if (is_wanted(request, arrival.records, arrival.is_last)) {
        arrival.state = registers_->transfer(index, request.run.levels);
      }
    } catch (...) {
      const auto [code, message] = current_error();
      finish(*arrival.owner, code, message);
      continue;
    }
    on_their_way_.push_back(std::move(arrival));
  }
}

void Lane::arrive(double seconds) {
  const bool was_queued = is_queued_.exchange(false);
  charged_ = was_queued ? seconds : 0;
  if (!was_queued) return;
  if (seconds > 0) costs_.add(queued_rows_, seconds);
  seconds_ = seconds_ + seconds;
  last_step_at_ = seconds_now();
  for (const Arrival& arrival : on_their_way_) {
    if (arrival.owner != nullptr) give(arrival, 0);
  }
  on_their_way_.clear();
}

void Lane::wait_for_queued() {
  if (is_queued_) arrive(step_->wait());
}

}  // namespace dpm
