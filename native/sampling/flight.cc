#include "sampling/flight.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "sampling/initial_states.h"

namespace dpm {

std::uint32_t Flight::most_evaluated(const RunRequest& request, std::uint32_t batch) {
  const bool guided = std::any_of(request.samples.begin(), request.samples.end(),
                                  [](const SampleIdentity& sample) { return is_guided(sample.guidance); });
  return guided ? 2 * batch : batch;
}

Flight::Flight(Evaluator& evaluator, const RunRequest& request, std::uint32_t first, std::uint32_t count)
    : evaluator_(evaluator),
      request_(request),
      first_(first),
      count_(count),
      evaluated_(most_evaluated(request, count)),
      registers_(make_registers(evaluator)),
      step_(evaluator, count, evaluated_),
      counters_(count, 0),
      noise_counters_(count, 0) {
  const std::uint64_t image = evaluator.shape().image;
  if (request.init.empty()) {
    draw_initial_states();
  } else {
    registers_.write(0, count, request.init.data() + first * image);
  }
  if (!request.noise.empty()) registers_.provide_noise(request.noise, request.samples.size(), first);
}

Registers Flight::make_registers(Evaluator& evaluator) const {
  std::uint32_t history = 0;
  bool y = false;
  for (std::uint32_t row = 0; row < count_; ++row) {
    history = std::max(history, program(row).history);
    y = y || request_.uses_y(sample(row).program);
  }
  Registers registers(evaluator.device(), evaluator.shape(), count_);
  registers.provide(y, history);
  return registers;
}

void Flight::draw_initial_states() {
  InitialStates states(count_);
  for (std::uint32_t row = 0; row < count_; ++row) states.add(row, request_, first_ + row);
  states.draw(evaluator_.device(), registers_.views());
}

StepSample Flight::step_sample(std::uint32_t row) const {
  return dpm::step_sample(request_, first_ + row, row, counters_[row], noise_counters_[row] * count_ + row);
}

void Flight::go_on(std::uint32_t row) {
  if (adds_noise(record(row))) ++noise_counters_[row];
  ++counters_[row];
}

void Flight::rewind() {
  std::fill(counters_.begin(), counters_.end(), 0);
  std::fill(noise_counters_.begin(), noise_counters_.end(), 0);
}

bool Flight::list_steps(std::uint32_t steps, std::vector<dpm_update_sample>& table) {
  for (std::uint32_t row = 0; row < count_; ++row) {
    if (program(row).count != steps) return false;
  }
  table.reserve(std::size_t{steps} * count_);
  bool in_step = true;
  for (std::uint32_t step = 0; step < steps && in_step; ++step) {
    for (std::uint32_t row = 0; row < count_; ++row)
      in_step = in_step && evaluates(record(row)) == evaluates(record(0));
    for (std::uint32_t row = 0; row < count_; ++row) table.push_back(update_sample(step_sample(row), row));
    for (std::uint32_t row = 0; row < count_; ++row) go_on(row);
  }
  rewind();
  return in_step;
}

bool Flight::begin_trajectory() {
  Network* network = evaluator_.network();
  const std::uint32_t steps = program(0).count;
  std::vector<dpm_update_sample> table;
  // A device's trajectory has one evaluation a sample.
  if (network == nullptr || !network->runs_trajectories() || steps == 0 || evaluated_ != count_) return false;
  if (!list_steps(steps, table)) return false;
  dpm_trajectory trajectory{};
  trajectory.steps = steps;
  trajectory.update = registers_.views();
  trajectory.update.batch = count_;
  trajectory.update.samples = table.data();
  live_.resize(count_);
  std::iota(live_.begin(), live_.end(), 0);
  // The labels are those of all steps, also where the first one evaluates nothing.
  list_step();
  trajectory.labels = step_.upload_labels(step_samples_);
  network->begin(trajectory);
  in_trajectory_ = true;
  return true;
}

std::uint64_t Flight::finish_trajectory() {
  const std::uint32_t steps = program(0).count;
  evaluator_.network()->advance(steps, true);
  std::fill(counters_.begin(), counters_.end(), steps);
  return std::uint64_t{steps} * count_;
}

std::uint32_t Flight::begin_step() {
  live_.clear();
  for (std::uint32_t row = 0; row < count_; ++row) {
    if (counters_[row] < program(row).count) live_.push_back(row);
  }
  if (live_.empty() || in_trajectory_) return static_cast<std::uint32_t>(live_.size());
  list_step();
  is_queued_ = step_.is_whole(step_samples_);
  if (is_queued_) {
    step_.queue(step_samples_, registers_.views(), false);
  } else {
    waits_ = !step_.evaluate(step_samples_, registers_.views());
  }
  return static_cast<std::uint32_t>(live_.size());
}

void Flight::list_step() {
  step_samples_.clear();
  for (const std::uint32_t row : live_) step_samples_.push_back(step_sample(row));
}

std::uint32_t Flight::end_step(bool looked_at) {
  waits_ = false;
  const auto count = static_cast<std::uint32_t>(live_.size());
  std::uint32_t done = count;
  if (in_trajectory_) {
    evaluator_.network()->advance(1, looked_at);
    done = on_their_way_ + (looked_at ? count : 0);
    on_their_way_ = looked_at ? 0 : count;
  } else if (!is_queued_) {
    const dpm_update registers = registers_.views();
    step_.settle(registers);
    step_.update(registers);
  }
  for (const std::uint32_t row : live_) go_on(row);
  return done;
}

std::uint32_t Flight::settle() {
  if (on_their_way_ > 0) evaluator_.network()->advance(0, true);
  return std::exchange(on_their_way_, 0);
}

}  // namespace dpm
