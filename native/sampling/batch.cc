#include "sampling/batch.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <utility>

namespace dpm {

bool Batch::is_cancelled(const RunRequest& run) {
  return run.cancelled && run.cancelled->load(std::memory_order_relaxed);
}

Batch::Batch(std::unique_ptr<Evaluator> evaluator, BatchOptions options)
    : TurnTaker(options.weight),
      evaluator_(std::move(evaluator)),
      shape_(evaluator_->shape()),
      options_(std::move(options)),
      initial_states_(options_.slots) {
  const std::uint32_t slots = options_.slots;
  require(slots > 0 && slots <= 65536, "a batch has between 1 and 65536 slots");
  require(options_.rows > 0 && options_.rows <= 2 * slots, "a batch has at least one row, and two of a slot at most");
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
  arrivals_.reserve(slots);
  for (std::uint32_t slot = 0; slot < slots; ++slot) free_.push_back(slot);
}

double Batch::seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Batch::~Batch() { end(ErrorCode::kClosed, "the batch was closed"); }

void Batch::submit(std::unique_ptr<BatchRequest> request) {
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

BatchStatistics Batch::statistics() const {
  return {steps_, rows_, padded_rows_, seconds_, resident_, waiting_count_, finished_, cancelled_, last_step_at_};
}

template <typename Work>
void Batch::guarded(const Work& work) noexcept {
  try {
    work();
  } catch (...) {
    const auto [code, message] = current_error();
    give_up(code, message);
  }
}

void Batch::give_up(ErrorCode code, const std::string& message) noexcept {
  try {
    // The last step's results are kept, unless the device has failed.
    wait_for_queued();
  } catch (...) {
    // Only the first error is reported.
    is_queued_ = false;
  }
  end(code, message);
}

double Batch::take_turn() noexcept {
  const double start = seconds_now();
  charged_ = std::nullopt;
  guarded([this] {
    attention_ = false;
    // The batch has ended, but the engine still has it in its list.
    if (!evaluator_) return;
    take_inbox();
    drop_cancelled();
    drop_overdue();
    if (waits_) return;
    // The states of the last step, if they are wanted, are fetched before other samples take their rows or the device
    // continues from them.
    if (is_seen_) wait_for_queued();
    join();
    const std::uint32_t rows = choose_running();
    if (running_.empty()) {
      wait_for_queued();
    } else if (trajectory_left_ > 0 || begin_trajectory()) {
      step_trajectory();
    } else {
      begin_step(rows);
    }
  });
  return charged_.value_or(seconds_now() - start);
}

void Batch::settle() noexcept {
  guarded([this] { wait_for_queued(); });
}

void Batch::answer(const std::vector<float>& values, const std::vector<float>& head) {
  require(waits_, "nothing was asked");
  if (!asks_constraint_) {
    evaluator_->answer(values, head);
    waits_ = false;
    guarded([this] { update_step(); });
  } else {
    replace_states(values);
    waits_ = asks_constraint_ = false;
    guarded([this] { finish_step(); });
  }
  left_behind_.clear();
}

void Batch::abandon_step(ErrorCode code, const std::string& message) noexcept {
  if (!waits_.exchange(false)) return;
  // The owner is null when another sample of the same request has already finished it.
  const auto finish_owner = [&](Active* owner) {
    if (owner != nullptr) finish(*owner, code, message);
  };
  if (!std::exchange(asks_constraint_, false)) {
    for (const std::uint32_t slot : running_) finish_owner(slots_[slot].sample.owner);
  }
  for (const Arrival& arrival : arrivals_) finish_owner(arrival.owner);
  arrivals_.clear();
  left_behind_.clear();
}

void Batch::take_inbox() {
  {
    const std::lock_guard<std::mutex> lock(inbox_mutex_);
    taken_.swap(inbox_);
  }
  for (auto& request : taken_) accept(std::move(request));
  taken_.clear();
}

void Batch::accept(std::unique_ptr<BatchRequest> request) {
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
    // An allocation that fails ends this request only.
    const auto [code, message] = current_error();
    waiting_count_ -= accepted.samples_left;
    finish(accepted, code, message);
    return;
  }
  const BatchRequest& wanted = *accepted.request;
  for (std::uint32_t i = 0; i < run.samples.size(); ++i) {
    waiting_.push_back({{wanted.priority, wanted.keys[i], arrived_++}, &accepted, i});
    std::push_heap(waiting_.begin(), waiting_.end(), comes_later);
  }
}

bool Batch::make_result(Active& active) {
  try {
    active.result = empty_result(active.request->run, shape_.image);
    active.entered_at = seconds_now();
    return true;
  } catch (...) {
    // An allocation that fails ends this request only.
    const auto [code, message] = current_error();
    // The sample that was to enter no longer waits.
    --waiting_count_;
    finish(active, code, message);
    return false;
  }
}

bool Batch::comes_later(const Sample& a, const Sample& b) { return b.place.before(a.place); }

void Batch::drop_cancelled() {
  for (std::size_t i = active_.size(); i > 0; --i) {
    Active& active = *active_[i - 1];
    if (!is_cancelled(active.request->run)) continue;
    ++cancelled_;
    finish(active, ErrorCode::kAborted,
           "sampling was aborted after " + std::to_string(active.records_done) + " of " +
               std::to_string(active.records) + " records");
  }
}

void Batch::drop_overdue() {
  const double now = seconds_now();
  for (std::size_t i = active_.size(); i > 0; --i) {
    Active& active = *active_[i - 1];
    const BatchRequest& request = *active.request;
    if (active.entered_at > 0 || now - request.submitted_at <= request.most_queued_seconds) continue;
    finish(active, ErrorCode::kOverloaded, "no sample of the request has begun in time");
  }
}

void Batch::finish(Active& active, ErrorCode code, const std::string& message) {
  if (active.samples_left > 0) remove_samples(active);
  for (Arrival& arrival : arrivals_) {
    if (arrival.owner == &active) arrival.owner = nullptr;
  }
  const auto place =
      std::find_if(active_.begin(), active_.end(), [&](const auto& each) { return each.get() == &active; });
  std::unique_ptr<Active> owned = std::move(*place);
  active_.erase(place);
  ++finished_;
  --unfinished_;
  const double now = seconds_now();
  const double entered_at = owned->entered_at > 0 ? owned->entered_at : now;
  BatchOutcome outcome{code, message, {}, entered_at - owned->request->submitted_at, now - entered_at};
  if (code == ErrorCode::kOk) outcome.result = std::move(owned->result);
  owned->request->finished(std::move(outcome));
  if (waits_) left_behind_.push_back(std::move(owned));
}

void Batch::remove_samples(const Active& active) {
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].sample.owner == &active) free_slot(i);
  }
  waiting_count_ -= std::erase_if(waiting_, [&](const Sample& sample) { return sample.owner == &active; });
  std::make_heap(waiting_.begin(), waiting_.end(), comes_later);
}

void Batch::free_slot(std::uint32_t index) {
  slots_[index] = {};
  free_.push_back(index);
  std::push_heap(free_.begin(), free_.end(), std::greater<>());
  --resident_;
}

void Batch::end(ErrorCode code, const std::string& message) noexcept {
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
  arrivals_.clear();
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
