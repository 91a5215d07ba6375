// Programs that a device runs as a whole, for samples that have a batch for themselves and evaluate in the same steps.
#include <algorithm>
#include <utility>

#include "sampling/batch.h"

namespace dpm {

bool Batch::goes_in_step() const {
  const std::uint32_t steps = program(slots_[running_.front()].sample).count;
  for (std::uint32_t row = 0; row < running_.size(); ++row) {
    const Slot& slot = slots_[running_[row]];
    // A device's trajectory has one evaluation per sample, and draws its noise.
    const bool is_plain = !is_guided(identity(slot.sample).guidance) && run_of(slot.sample).noise.empty();
    if (running_[row] != row || slot.counter > 0 || program(slot.sample).count != steps || !is_plain) return false;
  }
  for (std::uint32_t step = 0; step < steps; ++step) {
    const auto asks = [&](std::uint32_t row) {
      const Sample& sample = slots_[row].sample;
      return evaluates(run_of(sample).record(identity(sample).program, step));
    };
    const auto differs = [&](std::uint32_t row) { return asks(row) != asks(0); };
    if (std::any_of(running_.begin(), running_.end(), differs)) return false;
  }
  return true;
}

bool Batch::begin_trajectory() {
  Network* network = evaluator_->network();
  if (!options_.alone || network == nullptr || !network->runs_trajectories()) return false;
  if (running_.size() != resident_ || !goes_in_step()) return false;
  wait_for_queued();
  const auto rows = static_cast<std::uint32_t>(running_.size());
  const std::uint32_t steps = program(slots_.front().sample).count;
  std::vector<dpm_update_sample> table;
  table.reserve(std::size_t{steps} * rows);
  for (std::uint32_t step = 0; step < steps; ++step) {
    for (std::uint32_t row = 0; row < rows; ++row) {
      const Sample& sample = slots_[row].sample;
      table.push_back(update_sample(step_sample(run_of(sample), sample.index, row, step, row), row));
    }
  }
  dpm_trajectory trajectory{};
  trajectory.steps = steps;
  trajectory.update = registers_->views();
  trajectory.update.noise = {};
  trajectory.update.batch = rows;
  trajectory.update.samples = table.data();
  // The labels are those of all steps, even if the first step evaluates nothing.
  list_step();
  trajectory.labels = step_->upload_labels(step_samples_);
  network->begin(trajectory);
  trajectory_left_ = steps;
  return true;
}

void Batch::step_trajectory() {
  const Slot& first = slots_[running_.front()];
  const BatchRequest& request = *first.sample.owner->request;
  // The device runs through all records at once where no callback needs the states in between.
  const bool is_watched = request.run.watched || request.run.snapshot_every > 0;
  if (!is_watched) {
    evaluator_->network()->advance(trajectory_left_, true);
    is_queued_ = true;
    pass_running(std::exchange(trajectory_left_, 0));
    arrive(0);
    return;
  }
  --trajectory_left_;
  const bool is_seen = is_wanted(request, first.counter + 1, trajectory_left_ == 0);
  evaluator_->network()->advance(1, false);
  // The results of the step before are given out while the device computes this one.
  arrive(0);
  is_queued_ = is_trajectory_queued_ = true;
  is_seen_ = is_seen;
  pass_running();
}

}  // namespace dpm
