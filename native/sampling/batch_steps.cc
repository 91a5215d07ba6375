// The turn of a batch: samples join, the first in the order take a step and get its results.
#include <algorithm>
#include <functional>
#include <utility>

#include "sampling/batch.h"

namespace dpm {

std::uint32_t Batch::rows_of_next(const Slot& slot) {
  if (slot.counter == program(slot.sample).count) return 0;
  return rows_of(record(slot), identity(slot.sample).guidance);
}

std::uint32_t Batch::rows_before(const Place& place) const {
  std::uint32_t rows = 0;
  for (const Slot& slot : slots_) {
    if (!slot.is_free() && (slot.passed_over || slot.sample.place.before(place))) rows += rows_of_next(slot);
  }
  return rows;
}

void Batch::join() {
  running_.clear();
  if (free_.empty() || waiting_.empty()) return;
  std::uint32_t taken = 0;
  for (const Slot& slot : slots_) taken += slot.is_free() ? 0 : rows_of_next(slot);
  while (!free_.empty() && !waiting_.empty()) {
    // Free rows behind all samples with a slot make a comparison of places unnecessary.
    if (taken >= options_.rows && rows_before(waiting_.front().place) >= options_.rows) break;
    std::pop_heap(waiting_.begin(), waiting_.end(), comes_later);
    const Sample sample = waiting_.back();
    waiting_.pop_back();
    if (sample.owner->entered_at > 0 || make_result(*sample.owner)) taken += enter(sample);
  }
  initial_states_.draw(evaluator_->device(), registers_->views());
  if (running_.empty()) return;
  // Programs without records end with their initial states.
  wait_for_queued();
  pass_running(0);
  give_arrivals();
}

std::uint32_t Batch::enter(const Sample& sample) {
  --waiting_count_;
  ++resident_;
  std::pop_heap(free_.begin(), free_.end(), std::greater<>());
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  slots_[slot] = {sample, 0, 0, false};
  registers_->clear(slot, program(sample).history);
  const RunRequest& run = run_of(sample);
  if (program(sample).count == 0) running_.push_back(slot);
  if (run.init.empty()) {
    initial_states_.add(slot, run, sample.index);
  } else {
    registers_->write(slot, 1, run.init.data() + sample.index * shape_.image);
  }
  return rows_of_next(slots_[slot]);
}

std::uint32_t Batch::choose_running() {
  candidates_.clear();
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (!slot.is_free()) candidates_.push_back({slot.sample.place, i, rows_of_next(slot), slot.passed_over, false});
  }
  const std::uint32_t rows = choose(candidates_, limits_, costs_);
  running_.clear();
  for (const Candidate& candidate : candidates_) {
    slots_[candidate.slot].passed_over = candidate.passed_over;
    if (candidate.runs) running_.push_back(candidate.slot);
  }
  return rows;
}

void Batch::begin_step(std::uint32_t rows) {
  // Another user of the network may have asked for more memory than there is, and lost what was reserved.
  evaluator_->reserve(options_.rows);
  step_rows_ = rows;
  list_step();
  if (is_whole_step()) {
    queue_step();
    return;
  }
  wait_for_queued();
  // Callbacks of the step before may have cancelled a request.
  if (std::any_of(running_.begin(), running_.end(), [this](auto slot) { return is_cancelled(slots_[slot]); })) return;
  charged_ = std::nullopt;
  step_start_ = seconds_now();
  if (step_->evaluate(step_samples_, registers_->views())) {
    update_step();
  } else {
    ask(*evaluator_->question());
  }
}

void Batch::list_step() {
  step_samples_.clear();
  for (const std::uint32_t slot : running_) {
    const auto& [sample, counter, noise_counter, passed_over] = slots_[slot];
    step_samples_.push_back(step_sample(run_of(sample), sample.index, slot, counter, slot));
  }
}

void Batch::ask(const Question& question) {
  waits_ = true;
  if (options_.question) options_.question(question);
}

void Batch::update_step() {
  const dpm_update registers = registers_->views();
  step_->settle(registers);
  preview_predictions(registers);
  for (const std::uint32_t slot : running_) upload_noise(slot);
  step_->update(registers);
  pass_running();
  if (options_.constrains && !arrivals_.empty()) {
    ask_constraint();
  } else {
    finish_step();
  }
}

void Batch::ask_constraint() {
  const SampleStates& first = arrivals_.front().states;
  Question question{Asked::kConstraint, std::vector<float>(arriving_elements()), {}, {}, first.sample, first.records};
  float* next = question.states.data();
  for (const Arrival& arrival : arrivals_) {
    registers_->read(arrival.states.row, arrival.states.count, next);
    next += arrival.states.count * shape_.image;
  }
  asks_constraint_ = true;
  ask(question);
}

void Batch::replace_states(const std::vector<float>& states) {
  if (states.size() != arriving_elements()) {
    throw Error(ErrorCode::kTensorShape, std::to_string(states.size()) + " elements of states, there have to be " +
                                             std::to_string(arriving_elements()));
  }
  const float* next = states.data();
  for (const Arrival& arrival : arrivals_) {
    registers_->write(arrival.states.row, arrival.states.count, next);
    next += arrival.states.count * shape_.image;
  }
}

std::size_t Batch::arriving_elements() const {
  std::size_t rows = 0;
  for (const Arrival& arrival : arrivals_) rows += arrival.states.count;
  return rows * shape_.image;
}

void Batch::finish_step() {
  wait_for_device();
  // The statistics are counted before any request is told that it is done.
  const std::uint32_t computed = count_step();
  give_arrivals();
  const double end = seconds_now();
  seconds_ = seconds_ + (end - step_start_);
  // Costs of steps are used only for networks that pad their evaluations.
  const Network* network = evaluator_ ? evaluator_->network() : nullptr;
  if (computed > 0 && network != nullptr && network->pads()) costs_.add(computed, end - step_start_);
  last_step_at_ = end;
}

std::uint32_t Batch::count_step() {
  const std::uint32_t computed = step_rows_ == 0 ? 0 : evaluator_->padded(options_.whole ? options_.rows : step_rows_);
  ++steps_;
  rows_ += step_rows_;
  padded_rows_ += computed - step_rows_;
  return computed;
}

void Batch::wait_for_device() {
  // Devices that take whole steps queue their work.
  if (evaluator_->device().api().network.step != nullptr) registers_->wait();
}

void Batch::upload_noise(std::uint32_t index) {
  const Slot& slot = slots_[index];
  if (slot.is_free()) return;
  const RunRequest& run = run_of(slot.sample);
  if (run.noise.empty() || !adds_noise(record(slot))) return;
  const std::uint64_t slice = std::uint64_t{slot.noise_counter} * run.samples.size() + slot.sample.index;
  registers_->write_noise(index, run.noise.data() + slice * shape_.image);
}

bool Batch::shows_prediction(const Slot& slot) {
  const BatchRequest& request = *slot.sample.owner->request;
  return !request.data_predictions.empty() && is_due(request.run.preview_every, slot.counter + 1);
}

void Batch::preview_predictions(const dpm_update& registers) {
  const std::uint64_t image = shape_.image;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    const Slot& slot = slots_[running_[i]];
    if (slot.is_free() || !shows_prediction(slot)) continue;
    const BatchRequest& request = *slot.sample.owner->request;
    const float* coefficients = request.data_predictions.data() + 2 * (program(slot.sample).first + slot.counter);
    step_->predict(i, coefficients[0], coefficients[1], registers, shown_->view(image));
    RunImages prediction(image, request.run.levels);
    download_rows(*shown_, image, 0, 1, prediction, 0);
    request.run.preview(slot.counter + 1, slot.sample.index, std::move(prediction));
  }
}

void Batch::pass_running(std::uint32_t records) {
  for (const std::uint32_t index : running_) {
    Slot& slot = slots_[index];
    if (slot.is_free()) continue;
    if (records == 1 && adds_noise(record(slot))) ++slot.noise_counter;
    slot.counter += records;
    const Sample sample = slot.sample;
    const bool is_last = slot.counter == program(sample).count;
    const Arrival next{sample.owner, {sample.index, index, 1, slot.counter}, records, is_last, nullptr};
    if (arrivals_.empty() || !arrivals_.back().take(next)) {
      arrivals_.push_back({next.owner, next.states, records, is_last, nullptr});
    }
    if (is_last) free_slot(index);
  }
}

bool Batch::Arrival::take(const Arrival& next) {
  const bool goes_on = owner == next.owner && is_last == next.is_last && states.records == next.states.records &&
                       states.sample + states.count == next.states.sample &&
                       states.row + states.count == next.states.row;
  if (goes_on) ++states.count;
  return goes_on;
}

void Batch::give_arrivals() {
  const auto for_all = [this](const auto& body) {
    for (const Arrival& arrival : arrivals_) {
      if (arrival.owner == nullptr) continue;
      body(arrival, *arrival.owner, StateSource{*registers_, shape_.image, arrival.brought.get()});
    }
  };
  for_all([](const Arrival& arrival, Active& owner, const StateSource& source) {
    owner.records_done += std::uint64_t{arrival.passed} * arrival.states.count;
    keep_and_show(arrival.states, source, *owner.request, owner.result);
  });
  for_all([](const Arrival& /*arrival*/, Active& owner, const StateSource& /*source*/) {
    const bool is_news = std::exchange(owner.records_told, owner.records_done) < owner.records_done;
    if (is_news && owner.request->run.progress) owner.request->run.progress(owner.records_done, owner.records);
  });
  for_all([this](const Arrival& arrival, Active& owner, const StateSource& source) {
    if (!arrival.is_last) return;
    give(arrival.states, source, *owner.request, owner.result);
    owner.samples_left -= arrival.states.count;
    if (owner.samples_left == 0) finish(owner, ErrorCode::kOk, {});
  });
  arrivals_.clear();
}

bool Batch::is_whole_step() const {
  const auto shows = [this](std::uint32_t slot) { return shows_prediction(slots_[slot]); };
  return !options_.constrains && step_->is_whole(step_samples_) &&
         std::none_of(running_.begin(), running_.end(), shows);
}

void Batch::queue_step() {
  const double seconds_before = step_->queue(step_samples_, registers_->views(), true);
  arrive(seconds_before);
  queued_rows_ = count_step();
  is_queued_ = true;
  pass_running();
  bring_states();
}

void Batch::bring_states() {
  for (Arrival& arrival : arrivals_) {
    if (arrival.owner == nullptr) continue;
    const BatchRequest& request = *arrival.owner->request;
    const auto& [sample, row, count, records] = arrival.states;
    try {
      if (is_wanted(request, records, arrival.is_last)) {
        arrival.brought = registers_->transfer(row, count, request.run.levels);
      }
    } catch (...) {
      const auto [code, message] = current_error();
      finish(*arrival.owner, code, message);
    }
  }
}

void Batch::arrive(double seconds) {
  const bool was_queued = is_queued_.exchange(false);
  is_trajectory_queued_ = is_seen_ = false;
  charged_ = was_queued ? seconds : 0;
  if (!was_queued) return;
  if (seconds > 0) costs_.add(queued_rows_, seconds);
  seconds_ = seconds_ + seconds;
  last_step_at_ = seconds_now();
  give_arrivals();
}

void Batch::wait_for_queued() {
  if (!is_queued_) return;
  if (is_trajectory_queued_) {
    evaluator_->network()->advance(0, true);
    arrive(0);
  } else {
    arrive(step_->wait());
  }
}

}  // namespace dpm
