#include "sampling/lane.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace dpm {
namespace {

bool is_cancelled(const RunRequest& run) { return run.cancelled && run.cancelled->load(std::memory_order_relaxed); }

}  // namespace

Lane::Lane(std::unique_ptr<Evaluator> evaluator, LaneOptions options)
    : TurnTaker(options.weight),
      evaluator_(std::move(evaluator)),
      shape_(evaluator_->shape()),
      options_(std::move(options)),
      initial_states_(options_.slots) {
  const std::uint32_t slots = options_.slots;
  require(options_.rows > 0 && options_.rows <= slots && slots <= 65536,
          "a batch has at least one row, and as many slots as rows");
  require(weight() > 0 && std::isfinite(weight()), "a batch has a weight above 0");
  evaluator_->reserve(options_.rows);
  registers_ = std::make_unique<Registers>(evaluator_->device(), shape_, slots);
  step_ = std::make_unique<Step>(*evaluator_, slots, options_.rows, options_.whole ? options_.rows : 0);
  limits_ = {options_.rows, [this](std::uint32_t rows) { return evaluator_->padded(rows); },
             options_.fit && !options_.whole};
  step_->reserve();
  slots_.resize(slots);
  candidates_.reserve(slots);
  running_.reserve(slots);
  step_samples_.reserve(slots);
  on_their_way_.reserve(slots);
  // The lowest slot is taken first.
  for (std::uint32_t slot = slots; slot > 0; --slot) free_.push_back(slot - 1);
}

double Lane::seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Lane::~Lane() { end(ErrorCode::kClosed, "the batch was closed"); }

void Lane::submit(std::unique_ptr<LaneRequest> request) {
  request->submitted_at = seconds_now();
  {
    const std::lock_guard<std::mutex> lock(inbox_mutex_);
    if (end_code_ == ErrorCode::kOk) {
      const std::size_t samples = request->run.samples.size();
      inbox_.push_back(std::move(request));
      waiting_count_ += samples;
      ++unfinished_;
      return;
    }
  }
  request->finished({end_code_, end_message_, {}});
}

LaneStatistics Lane::statistics() const {
  return {steps_, rows_, padded_rows_, seconds_, resident_, waiting_count_, finished_, cancelled_, last_step_at_};
}

template <typename Work>
void Lane::guarded(const Work& work) noexcept {
  try {
    work();
  } catch (...) {
    const auto [code, message] = current_error();
    give_up(code, message);
  }
}

void Lane::give_up(ErrorCode code, const std::string& message) noexcept {
  try {
    // What the last step has brought is there all the same, unless the card has failed.
    wait_for_queued();
  } catch (...) {
    // The first error is told.
    is_queued_ = false;
  }
  end(code, message);
}

double Lane::take_turn() noexcept {
  const double start = seconds_now();
  charged_ = std::nullopt;
  guarded([this] {
    attention_ = false;
    take_inbox();
    drop_cancelled();
    if (waits_) return;
    join();
    const std::uint32_t rows = choose_running();
    if (running_.empty()) {
      wait_for_queued();
    } else {
      begin_step(rows);
    }
  });
  return charged_.value_or(seconds_now() - start);
}

void Lane::settle() noexcept {
  guarded([this] { wait_for_queued(); });
}

void Lane::take_inbox() {
  {
    const std::lock_guard<std::mutex> lock(inbox_mutex_);
    taken_.swap(inbox_);
  }
  for (auto& request : taken_) accept(std::move(request));
  taken_.clear();
}

void Lane::accept(std::unique_ptr<LaneRequest> request) {
  const RunRequest& run = request->run;
  auto active = std::make_unique<Active>();
  active->samples_left = static_cast<std::uint32_t>(run.samples.size());
  active->records = total_records(run);
  active->request = std::move(request);
  Active& accepted = *active_.emplace_back(std::move(active));
  try {
    for (std::uint32_t program = 0; program < run.programs.size(); ++program) {
      registers_->provide(run.uses_y(program), run.programs[program].history);
    }
    if (!run.noise.empty()) registers_->provide_noise();
    if (!accepted.request->data_predictions.empty() && !shown_) {
      shown_ = evaluator_->device().allocate(shape_.image * sizeof(float));
    }
  } catch (...) {
    // Memory that cannot be had is this request's failure, nobody else's.
    const auto [code, message] = current_error();
    waiting_count_ -= accepted.samples_left;
    finish(accepted, code, message);
    return;
  }
  const LaneRequest& wanted = *accepted.request;
  for (std::uint32_t i = 0; i < run.samples.size(); ++i) {
    waiting_.push_back({{wanted.priority, wanted.keys[i], arrivals_++}, &accepted, i});
    std::push_heap(waiting_.begin(), waiting_.end(), comes_later);
  }
}

bool Lane::comes_later(const Sample& a, const Sample& b) { return b.place.before(a.place); }

void Lane::drop_cancelled() {
  for (std::size_t i = active_.size(); i > 0; --i) {
    Active& active = *active_[i - 1];
    if (!is_cancelled(active.request->run)) continue;
    ++cancelled_;
    finish(active, ErrorCode::kAborted,
           "sampling was aborted after " + std::to_string(active.records_done) + " of " +
               std::to_string(active.records) + " records");
  }
}

std::uint32_t Lane::rows_of_next(const Slot& slot) { return rows_of(record(slot), identity(slot.sample).guidance); }

std::uint32_t Lane::rows_before(const Place& place) const {
  std::uint32_t rows = 0;
  for (const Slot& slot : slots_) {
    if (!slot.is_free() && (slot.passed_over || slot.sample.place.before(place))) rows += rows_of_next(slot);
  }
  return rows;
}

void Lane::join() {
  while (!free_.empty() && !waiting_.empty() && rows_before(waiting_.front().place) < options_.rows) {
    std::pop_heap(waiting_.begin(), waiting_.end(), comes_later);
    const Sample sample = waiting_.back();
    waiting_.pop_back();
    if (sample.owner->entered_at > 0 || make_result(*sample.owner)) enter(sample);
  }
  initial_states_.draw(evaluator_->device(), registers_->views());
}

bool Lane::make_result(Active& active) {
  try {
    active.result = empty_result(active.request->run, shape_.image);
    active.entered_at = seconds_now();
    return true;
  } catch (...) {
    // Memory that cannot be had is this request's failure, nobody else's.
    const auto [code, message] = current_error();
    // The sample that was to enter waits no more.
    --waiting_count_;
    finish(active, code, message);
    return false;
  }
}

void Lane::enter(const Sample& sample) {
  --waiting_count_;
  ++resident_;
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  slots_[slot] = {sample, 0, 0, false};
  registers_->clear(slot, program(sample).history);
  const RunRequest& run = run_of(sample);
  if (!run.init.empty()) {
    registers_->write(slot, 1, run.init.data() + sample.index * shape_.image);
    return;
  }
  initial_states_.add(slot, run, sample.index);
}

std::uint32_t Lane::choose_running() {
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

void Lane::begin_step(std::uint32_t rows) {
  // Somebody else may have asked for more than there is memory for, and lost what was reserved.
  evaluator_->reserve(options_.rows);
  step_rows_ = rows;
  step_samples_.clear();
  for (const std::uint32_t slot : running_) {
    const auto& [sample, counter, noise_counter, passed_over] = slots_[slot];
    step_samples_.push_back(step_sample(run_of(sample), sample.index, slot, counter, slot));
  }
  if (is_whole_step()) {
    queue_step();
    return;
  }
  wait_for_queued();
  charged_ = std::nullopt;
  step_start_ = seconds_now();
  waits_ = !step_->evaluate(step_samples_, registers_->views());
  if (!waits_) {
    update_step();
  } else if (options_.question) {
    options_.question();
  }
}

void Lane::end_step() noexcept {
  if (!waits_.exchange(false)) return;
  guarded([this] { update_step(); });
  left_behind_.clear();
}

void Lane::abandon_step(ErrorCode code, const std::string& message) noexcept {
  if (!waits_.exchange(false)) return;
  for (const std::uint32_t slot : running_) {
    // Another sample of the same request may have taken it along.
    if (Active* owner = slots_[slot].sample.owner; owner != nullptr) finish(*owner, code, message);
  }
  left_behind_.clear();
}

void Lane::update_step() {
  const dpm_update registers = registers_->views();
  step_->settle(registers);
  preview_predictions(registers);
  for (const std::uint32_t slot : running_) upload_noise(slot);
  step_->update(registers);
  wait_for_device();
  // Before anybody is told that he is done.
  const std::uint32_t computed = count_step();
  for (const std::uint32_t slot : running_) {
    if (!slots_[slot].is_free()) give(pass(slot), slot);
  }
  const double end = seconds_now();
  seconds_ = seconds_ + (end - step_start_);
  // Elsewhere nobody asks for them.
  const Network* network = evaluator_ ? evaluator_->network() : nullptr;
  if (computed > 0 && network != nullptr && network->pads()) costs_.add(computed, end - step_start_);
  last_step_at_ = end;
}

std::uint32_t Lane::count_step() {
  const std::uint32_t computed = step_rows_ == 0 ? 0 : evaluator_->padded(options_.whole ? options_.rows : step_rows_);
  ++steps_;
  rows_ += step_rows_;
  padded_rows_ += computed - step_rows_;
  return computed;
}

bool Lane::shows_prediction(const Slot& slot) {
  const LaneRequest& request = *slot.sample.owner->request;
  return !request.data_predictions.empty() && is_due(request.run.preview_every, slot.counter + 1);
}

void Lane::wait_for_device() {
  // Those that take whole trajectories queue their work.
  if (evaluator_->device().api().network.begin != nullptr) registers_->wait();
}

void Lane::upload_noise(std::uint32_t index) {
  const Slot& slot = slots_[index];
  if (slot.is_free()) return;
  const RunRequest& run = run_of(slot.sample);
  if (run.noise.empty() || !adds_noise(record(slot))) return;
  const std::uint64_t slice = std::uint64_t{slot.noise_counter} * run.samples.size() + slot.sample.index;
  registers_->write_noise(index, run.noise.data() + slice * shape_.image);
}

void Lane::preview_predictions(const dpm_update& registers) {
  const std::uint64_t image = shape_.image;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    const Slot& slot = slots_[running_[i]];
    if (slot.is_free()) continue;
    if (!shows_prediction(slot)) continue;
    const LaneRequest& request = *slot.sample.owner->request;
    const float* coefficients = request.data_predictions.data() + 2 * (program(slot.sample).first + slot.counter);
    step_->predict(i, coefficients[0], coefficients[1], registers, shown_->view(image));
    RunImages prediction(image, request.run.levels);
    download_rows(*shown_, image, 0, 1, prediction, 0);
    request.run.preview(slot.counter + 1, slot.sample.index, std::move(prediction));
  }
}

Lane::Arrival Lane::pass(std::uint32_t index) {
  Slot& slot = slots_[index];
  if (adds_noise(record(slot))) ++slot.noise_counter;
  ++slot.counter;
  const bool is_last = slot.counter == program(slot.sample).count;
  Arrival arrival{slot.sample.owner, slot.sample.index, slot.counter, is_last, nullptr};
  if (is_last) {
    slot = {};
    free_.push_back(index);
    --resident_;
  }
  return arrival;
}

void Lane::give(const Arrival& arrival, std::uint32_t row) {
  Active& owner = *arrival.owner;
  const LaneRequest& request = *owner.request;
  const SampleState state{*registers_, row, shape_.image, arrival.sample, arrival.records, arrival.state.get()};
  ++owner.records_done;
  keep_and_show(state, request, owner.result);
  if (request.run.progress) request.run.progress(owner.records_done, owner.records);
  if (!arrival.is_last) return;
  dpm::give(state, request, owner.result);
  if (--owner.samples_left == 0) finish(owner, ErrorCode::kOk, {});
}

void Lane::finish(Active& active, ErrorCode code, const std::string& message) {
  if (active.samples_left > 0) remove_samples(active);
  const auto place =
      std::find_if(active_.begin(), active_.end(), [&](const auto& each) { return each.get() == &active; });
  std::unique_ptr<Active> owned = std::move(*place);
  active_.erase(place);
  ++finished_;
  --unfinished_;
  const double now = seconds_now();
  const double entered_at = owned->entered_at > 0 ? owned->entered_at : now;
  LaneOutcome outcome{code, message, {}, entered_at - owned->request->submitted_at, now - entered_at};
  if (code == ErrorCode::kOk) outcome.result = std::move(owned->result);
  owned->request->finished(std::move(outcome));
  if (waits_) left_behind_.push_back(std::move(owned));
}

void Lane::remove_samples(const Active& active) {
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].sample.owner != &active) continue;
    slots_[i] = {};
    free_.push_back(i);
    --resident_;
  }
  for (Arrival& arrival : on_their_way_) {
    if (arrival.owner == &active) arrival.owner = nullptr;
  }
  waiting_count_ -= std::erase_if(waiting_, [&](const Sample& sample) { return sample.owner == &active; });
  std::make_heap(waiting_.begin(), waiting_.end(), comes_later);
}

void Lane::end(ErrorCode code, const std::string& message) noexcept {
  {
    const std::lock_guard<std::mutex> lock(inbox_mutex_);
    if (end_code_ != ErrorCode::kOk) return;
    end_code_ = code;
    end_message_ = message;
    for (auto& request : inbox_) taken_.push_back(std::move(request));
    inbox_.clear();
  }
  waits_ = false;
  is_queued_ = false;
  on_their_way_.clear();
  while (!active_.empty()) finish(*active_.back(), code, message);
  for (auto& request : taken_) {
    if (request) request->finished({code, message, {}});
  }
  taken_.clear();
  unfinished_ = 0;
  waiting_count_ = 0;
  left_behind_.clear();
  step_.reset();
  registers_.reset();
  shown_.reset();
  evaluator_.reset();
}

}  // namespace dpm
