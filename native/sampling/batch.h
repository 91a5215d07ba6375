// The sampling loop: a batch that samples join and leave at every evaluation. Each has a slot, a row of the registers,
// and those that come first take part in the next step: one evaluation serves all that ask for one, one fused update
// follows.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/network.h"
#include "engine/turns.h"
#include "sampling/batch_request.h"
#include "sampling/batch_results.h"
#include "sampling/choose.h"
#include "sampling/evaluator.h"
#include "sampling/initial_states.h"
#include "sampling/registers.h"
#include "sampling/step.h"

namespace dpm {

struct BatchOptions {
  std::uint32_t rows = 1;   ///< that the network sees in a step at most
  std::uint32_t slots = 1;  ///< samples that have a state
  bool fit = true;          ///< rows are left out where padding would cost more
  /// Every step is computed at its full size, so that no sample's bits depend on the others.
  bool whole = false;
  double weight = 1;  ///< share of the engine's time
  /// It is one request's: the device may do whole trajectories.
  bool alone = false;
  /// A function of the caller's is asked after every step for the states to go on from.
  bool constrains = false;
  /// Called on the engine's thread when a function is asked. The batch does nothing until `answer` or `abandon_step`.
  std::function<void(const Question& question)> question = nullptr;
};

struct BatchStatistics {
  std::uint64_t steps = 0;
  std::uint64_t rows = 0;         ///< that the network saw
  std::uint64_t padded_rows = 0;  ///< that were computed beside them
  double seconds = 0;             ///< of all steps
  std::uint64_t resident = 0;     ///< samples that have a slot
  std::uint64_t waiting = 0;      ///< samples that have none yet
  std::uint64_t finished = 0;     ///< requests
  std::uint64_t cancelled = 0;    ///< requests
  double last_step_at = 0;        ///< seconds of the steady clock
};

class Batch final : public TurnTaker {
 public:
  /// Allocates what every step needs; a card allocates its tables with the first ones. On the engine's thread.
  Batch(std::unique_ptr<Evaluator> evaluator, BatchOptions options);
  ~Batch() override;

  /// Throws Error(kArgument) when the request cannot run here.
  void check(const BatchRequest& request) const { check_batch_request(request, shape_, options_.rows); }
  /// Takes a request that has been checked, from any thread; the engine has to be woken. What goes wrong is told by
  /// `finished`, on the engine's thread, or on this one when the batch has ended.
  void submit(std::unique_ptr<BatchRequest> request);
  /// Whether a step waits for what a function answers.
  [[nodiscard]] bool waits() const { return waits_; }
  /// Goes on with what the function has answered, or ends the requests that take part in the step; on the engine's
  /// thread. `head` is a prediction's second output. Throws Error(kArgument) when nothing is waited for,
  /// Error(kTensorShape) when there are more or fewer elements than were asked for; the batch still waits then.
  void answer(const std::vector<float>& values, const std::vector<float>& head);
  void abandon_step(ErrorCode code, const std::string& message) noexcept;
  /// From any thread.
  [[nodiscard]] BatchStatistics statistics() const;

  [[nodiscard]] bool has_work() const override { return attention_ || (!waits_ && unfinished_ > 0) || is_queued_; }
  double take_turn() noexcept override;
  void settle() noexcept override;
  void look_for_cancelled() noexcept override { attention_ = true; }
  void end(ErrorCode code, const std::string& message) noexcept override;

 private:
  /// A request that has not been finished.
  struct Active {
    std::unique_ptr<BatchRequest> request;
    RunResult result;
    std::uint64_t records_done = 0;
    std::uint64_t records_told = 0;
    std::uint64_t records = 0;
    std::uint32_t samples_left = 0;
    /// When its first sample got a slot, in seconds of the steady clock; 0: not yet.
    double entered_at = 0;
  };
  struct Sample {
    Place place;
    Active* owner = nullptr;
    std::uint32_t index = 0;  ///< in its request
  };
  struct Slot {
    Sample sample;
    std::uint32_t counter = 0;
    std::uint32_t noise_counter = 0;
    bool passed_over = false;
    [[nodiscard]] bool is_free() const { return sample.owner == nullptr; }
  };

  /// What a step brings samples of a request that lie in a row.
  struct Arrival {
    Active* owner = nullptr;  ///< null once the request has been finished
    SampleStates states;
    std::uint32_t passed = 1;  ///< records of this step
    bool is_last = false;
    std::unique_ptr<Transfer> brought;  ///< null where the states are looked for in the registers, or by nobody

    /// Adds those of the next sample where they go on from these. Whether they do.
    bool take(const Arrival& next);
  };

  [[nodiscard]] static const RunRequest& run_of(const Sample& sample) { return sample.owner->request->run; }
  [[nodiscard]] static const SampleIdentity& identity(const Sample& sample) {
    return run_of(sample).samples[sample.index];
  }
  [[nodiscard]] static const Program& program(const Sample& sample) {
    return run_of(sample).programs[identity(sample).program];
  }
  [[nodiscard]] static const dpm_record& record(const Slot& slot) {
    return run_of(slot.sample).record(identity(slot.sample).program, slot.counter);
  }

  [[nodiscard]] static bool is_cancelled(const RunRequest& run);
  [[nodiscard]] static bool is_cancelled(const Slot& slot) {
    return !slot.is_free() && is_cancelled(run_of(slot.sample));
  }
  /// Of the steady clock.
  [[nodiscard]] static double seconds_now();
  /// Does `work`; what it throws ends the batch.
  template <typename Work>
  void guarded(const Work& work) noexcept;
  /// Ends after an error of its own.
  void give_up(ErrorCode code, const std::string& message) noexcept;

  // Requests come and go.
  void take_inbox();
  void accept(std::unique_ptr<BatchRequest> request);
  /// Room for the results of a request, whose first sample begins. False where there is none: it is finished then.
  bool make_result(Active& active);
  void drop_cancelled();
  /// Takes a request out of everything and tells its end.
  void finish(Active& active, ErrorCode code, const std::string& message);
  void remove_samples(const Active& active);
  /// For heaps with the first of the order on top.
  static bool comes_later(const Sample& a, const Sample& b);

  // Samples get slots and leave them.
  /// Gives slots to samples that would run in this step.
  void join();
  /// Returns the rows that its first record takes.
  std::uint32_t enter(const Sample& sample);
  void free_slot(std::uint32_t index);
  /// Rows that a sample's next record takes; none where there is no other.
  [[nodiscard]] static std::uint32_t rows_of_next(const Slot& slot);
  /// Rows of the samples with a slot that come before `place`.
  [[nodiscard]] std::uint32_t rows_before(const Place& place) const;
  /// Lists the slots that take part; returns the rows that the network sees.
  std::uint32_t choose_running();

  // A step: evaluation, update, and what they bring.
  void begin_step(std::uint32_t rows);
  /// The parts of those that run.
  void list_step();
  /// Waits for a function, where there is one to ask.
  void ask(const Question& question);
  void update_step();
  void ask_constraint();
  void replace_states(const std::vector<float>& states);
  /// Of the states of all that the step brings.
  [[nodiscard]] std::size_t arriving_elements() const;
  void finish_step();
  /// Whether its data prediction is to be seen after this step.
  [[nodiscard]] static bool shows_prediction(const Slot& slot);
  void upload_noise(std::uint32_t slot);
  /// Shows the data predictions that are to be seen after this step.
  void preview_predictions(const dpm_update& registers);
  /// Waits for what a device has queued of a step that it does not take as a whole.
  void wait_for_device();
  /// Counts the step; returns the rows that are computed for its.
  std::uint32_t count_step();
  /// Lists what the step brings its samples, and goes on by so many records; slots are free after the last one.
  void pass_running(std::uint32_t records = 1);
  /// Gives all that has been listed.
  void give_arrivals();

  // Steps and trajectories that the device takes as a whole.
  /// Whether it does, and nobody looks at what lies within.
  [[nodiscard]] bool is_whole_step() const;
  void queue_step();
  /// Has the states brought that somebody wants to see after the step that has just been queued.
  void bring_states();
  /// Gives what the step has brought that was on its way and took `seconds`.
  void arrive(double seconds);
  /// Waits for the step that is on its way, if there is one.
  void wait_for_queued();
  /// Whether those that run have just joined, and ask the network in the same steps.
  [[nodiscard]] bool goes_in_step() const;
  /// Hands the programs of all samples, which have just joined, to the device as one trajectory if it takes such and
  /// they go in step.
  bool begin_trajectory();
  void step_trajectory();

  /// Gone, with its network, when the batch has ended.
  std::unique_ptr<Evaluator> evaluator_;
  const NetworkShape shape_;
  const BatchOptions options_;
  std::unique_ptr<Registers> registers_;
  std::unique_ptr<Step> step_;
  /// One image: a data prediction that is shown.
  std::shared_ptr<Buffer> shown_;
  StepLimits limits_;
  StepCosts costs_;
  std::vector<Slot> slots_;
  /// A heap with the lowest on top: samples that join together lie in a row.
  std::vector<std::uint32_t> free_;
  /// A heap of those that have no slot yet.
  std::vector<Sample> waiting_;
  std::vector<std::unique_ptr<Active>> active_;
  /// Requests that were finished while a step of theirs waits for its answer: it refers to their records.
  std::vector<std::unique_ptr<Active>> left_behind_;
  std::uint64_t arrived_ = 0;
  std::vector<Candidate> candidates_;
  std::vector<std::uint32_t> running_;
  std::vector<StepSample> step_samples_;
  std::uint32_t step_rows_ = 0;
  /// What the last step brings, which may still be on its way.
  std::vector<Arrival> arrivals_;
  std::uint32_t queued_rows_ = 0;
  double step_start_ = 0;
  /// Records that are left of the device's trajectory.
  std::uint32_t trajectory_left_ = 0;
  /// Whether what is on its way is one's, and whether somebody looks at the states behind it.
  bool is_trajectory_queued_ = false;
  bool is_seen_ = false;
  /// Whether what is waited for is a constraint's answer.
  bool asks_constraint_ = false;
  /// Seconds that a turn has used, where they are others than those it took.
  std::optional<double> charged_;
  /// Of the samples that have joined and have no state yet.
  InitialStates initial_states_;

  std::mutex inbox_mutex_;
  std::vector<std::unique_ptr<BatchRequest>> inbox_;
  std::vector<std::unique_ptr<BatchRequest>> taken_;
  /// Why it takes no more requests; kOk while it does.
  ErrorCode end_code_ = ErrorCode::kOk;
  std::string end_message_;

  std::atomic<bool> attention_{false};
  /// For an answer.
  std::atomic<bool> waits_{false};
  /// Whether something is on its way.
  std::atomic<bool> is_queued_{false};
  std::atomic<std::uint64_t> unfinished_{0};
  std::atomic<std::uint64_t> steps_{0}, rows_{0}, padded_rows_{0}, resident_{0}, waiting_count_{0}, finished_{0},
      cancelled_{0};
  std::atomic<double> seconds_{0}, last_step_at_{0};
};

}  // namespace dpm
