// The sampling loop: a batch that samples join and leave at every evaluation. Each sample has a slot, which is a row of
// the registers. The samples that come first in the order take part in the next step: one evaluation for all samples
// whose records evaluate, then one fused update.
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
  std::uint32_t rows = 1;   ///< maximum of rows that the network sees in a step
  std::uint32_t slots = 1;  ///< samples that have a state
  bool fit = true;          ///< rows may be left out of a step where padding would cost more
  /// Every step is computed at its full size, so that no sample's bits depend on the other samples.
  bool whole = false;
  double weight = 1;  ///< share of the engine's time
  /// The batch belongs to one request, so the device may run whole trajectories.
  bool alone = false;
  /// A function of the caller is asked after every step for the states to continue from.
  bool constrains = false;
  /// Callback on the engine's thread when a function is asked. The batch does nothing until `answer` or `abandon_step`.
  std::function<void(const Question& question)> question = nullptr;
};

struct BatchStatistics {
  std::uint64_t steps = 0;
  std::uint64_t rows = 0;         ///< rows that the network saw
  std::uint64_t padded_rows = 0;  ///< rows that were computed as padding beside them
  double seconds = 0;             ///< duration of all steps
  std::uint64_t resident = 0;     ///< samples that have a slot
  std::uint64_t waiting = 0;      ///< samples that have no slot yet
  std::uint64_t finished = 0;     ///< requests that finished
  std::uint64_t cancelled = 0;    ///< requests that were cancelled
  double last_step_at = 0;        ///< time of the last step, in seconds of the steady clock
};

class Batch final : public TurnTaker {
 public:
  /// Allocates what every step needs, on the engine's thread; a GPU allocates its tables at the first steps.
  Batch(std::unique_ptr<Evaluator> evaluator, BatchOptions options);
  ~Batch() override;

  /// Throws Error(kArgument) when the request cannot run here.
  void check(const BatchRequest& request) const { check_batch_request(request, shape_, options_.rows); }
  /// Takes a request that has been checked, from any thread; the caller then has to wake the engine. Errors are
  /// reported by the request's `finished`, on the engine's thread, or on the calling thread when the batch has ended.
  void submit(std::unique_ptr<BatchRequest> request);
  /// Returns whether a step waits for the answer of a function.
  [[nodiscard]] bool waits() const { return waits_; }
  /// Continues with a function's answer, on the engine's thread, or ends the requests that take part in the step.
  /// `head` is a prediction's second output. Throws Error(kArgument) when the batch waits for no answer,
  /// Error(kTensorShape) when there are more or fewer elements than were asked for; the batch still waits then.
  void answer(const std::vector<float>& values, const std::vector<float>& head);
  void abandon_step(ErrorCode code, const std::string& message) noexcept;
  /// Returns the statistics; callable from any thread.
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
    /// Time when the request's first sample got a slot, in seconds of the steady clock; 0: not yet.
    double entered_at = 0;
  };
  struct Sample {
    Place place;
    Active* owner = nullptr;
    std::uint32_t index = 0;  ///< index of the sample in its request
  };
  struct Slot {
    Sample sample;
    std::uint32_t counter = 0;
    std::uint32_t noise_counter = 0;
    bool passed_over = false;
    [[nodiscard]] bool is_free() const { return sample.owner == nullptr; }
  };

  /// States that a step brings for neighbouring samples of one request.
  struct Arrival {
    Active* owner = nullptr;  ///< the request of these samples; null once it has been finished
    SampleStates states;
    std::uint32_t passed = 1;  ///< number of records that the samples completed in this step
    bool is_last = false;
    std::unique_ptr<Transfer> brought;  ///< copy of the states; null where they are read from the registers or not
                                        ///< wanted

    /// Adds the next sample's arrival if it follows directly on this one. Returns whether it did.
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
  /// Seconds of the steady clock.
  [[nodiscard]] static double seconds_now();
  /// Does `work`; what it throws ends the batch.
  template <typename Work>
  void guarded(const Work& work) noexcept;
  /// Ends the batch after an error of its own.
  void give_up(ErrorCode code, const std::string& message) noexcept;

  // Arrival and end of requests.
  void take_inbox();
  void accept(std::unique_ptr<BatchRequest> request);
  /// Allocates the results of a request whose first sample begins. Returns false, with the request finished, when there
  /// is no memory.
  bool make_result(Active& active);
  void drop_cancelled();
  /// Ends requests that have waited for longer than they may.
  void drop_overdue();
  /// Removes a request from all lists and reports its end.
  void finish(Active& active, ErrorCode code, const std::string& message);
  void remove_samples(const Active& active);
  /// Comparison for heaps that have the first in the order on top.
  static bool comes_later(const Sample& a, const Sample& b);

  // Samples get slots and leave them.
  /// Gives slots to samples that would run in this step.
  void join();
  /// Gives the sample a slot; returns the rows that its first record takes.
  std::uint32_t enter(const Sample& sample);
  void free_slot(std::uint32_t index);
  /// Rows that a sample's next record takes; 0 where there is no next record.
  [[nodiscard]] static std::uint32_t rows_of_next(const Slot& slot);
  /// Rows of the samples with a slot that come before `place`.
  [[nodiscard]] std::uint32_t rows_before(const Place& place) const;
  /// Lists the slots that take part; returns the rows that the network sees.
  std::uint32_t choose_running();

  // Parts of a step: evaluation, update and results.
  void begin_step(std::uint32_t rows);
  /// Lists the parts in the step of the samples that take part.
  void list_step();
  /// Waits for the function's answer, and calls the function where one is set.
  void ask(const Question& question);
  void update_step();
  void ask_constraint();
  void replace_states(const std::vector<float>& states);
  /// Number of elements of all states that the step brings.
  [[nodiscard]] std::size_t arriving_elements() const;
  void finish_step();
  /// Returns whether a preview shows this sample's data prediction after this step.
  [[nodiscard]] static bool shows_prediction(const Slot& slot);
  void upload_noise(std::uint32_t slot);
  /// Shows the data predictions that previews want after this step.
  void preview_predictions(const dpm_update& registers);
  /// Waits for the queued work of a step that the device does not take as a whole.
  void wait_for_device();
  /// Counts the step; returns the number of rows that its evaluation computes.
  std::uint32_t count_step();
  /// Lists the states that the step brings, and advances its samples by `records` records; their slots are free after
  /// the last one.
  void pass_running(std::uint32_t records = 1);
  /// Gives all listed arrivals to their requests.
  void give_arrivals();

  // Steps and trajectories that the device takes as a whole.
  /// Returns whether the device takes this step as a whole and no callback needs values from inside it.
  [[nodiscard]] bool is_whole_step() const;
  void queue_step();
  /// Starts copying the states that are wanted after the step that has just been queued.
  void bring_states();
  /// Gives out the results of the step that was queued and took `seconds`.
  void arrive(double seconds);
  /// Waits for the queued step, if there is one.
  void wait_for_queued();
  /// Returns whether the running samples have just joined and evaluate the network in the same steps.
  [[nodiscard]] bool goes_in_step() const;
  /// Hands the programs of all samples, which have just joined, to the device as one trajectory, if the device takes
  /// trajectories and the samples evaluate in the same steps. Returns whether it did.
  bool begin_trajectory();
  void step_trajectory();

  /// The evaluator; null, with its network released, when the batch has ended.
  std::unique_ptr<Evaluator> evaluator_;
  const NetworkShape shape_;
  const BatchOptions options_;
  std::unique_ptr<Registers> registers_;
  std::unique_ptr<Step> step_;
  /// One image: the data prediction that a preview shows.
  std::shared_ptr<Buffer> shown_;
  StepLimits limits_;
  StepCosts costs_;
  std::vector<Slot> slots_;
  /// A heap of free slots with the lowest on top, so that samples that join together get neighbouring rows.
  std::vector<std::uint32_t> free_;
  /// A heap of the samples that have no slot yet.
  std::vector<Sample> waiting_;
  std::vector<std::unique_ptr<Active>> active_;
  /// Requests that were finished while a step of theirs waits for its answer; the step refers to their records.
  std::vector<std::unique_ptr<Active>> left_behind_;
  std::uint64_t arrived_ = 0;
  std::vector<Candidate> candidates_;
  std::vector<std::uint32_t> running_;
  std::vector<StepSample> step_samples_;
  std::uint32_t step_rows_ = 0;
  /// Results of the last step, which may still be queued on the device.
  std::vector<Arrival> arrivals_;
  std::uint32_t queued_rows_ = 0;
  double step_start_ = 0;
  /// Records of the device's trajectory that are still to be run.
  std::uint32_t trajectory_left_ = 0;
  /// Tells whether the queued work belongs to a trajectory (`is_trajectory_queued_`), and whether the states after it
  /// are wanted (`is_seen_`).
  bool is_trajectory_queued_ = false;
  bool is_seen_ = false;
  /// Tells whether the awaited answer is a constraint's.
  bool asks_constraint_ = false;
  /// Seconds to charge for a turn, where they differ from the time that it took.
  std::optional<double> charged_;
  /// Initial states, not yet drawn, of samples that have joined.
  InitialStates initial_states_;

  std::mutex inbox_mutex_;
  std::vector<std::unique_ptr<BatchRequest>> inbox_;
  std::vector<std::unique_ptr<BatchRequest>> taken_;
  /// Reason why the batch takes no more requests; kOk while it takes them.
  ErrorCode end_code_ = ErrorCode::kOk;
  std::string end_message_;

  std::atomic<bool> attention_{false};
  /// Tells whether the batch waits for a function's answer.
  std::atomic<bool> waits_{false};
  /// Tells whether a step is queued on the device.
  std::atomic<bool> is_queued_{false};
  std::atomic<std::uint64_t> unfinished_{0};
  std::atomic<std::uint64_t> steps_{0}, rows_{0}, padded_rows_{0}, resident_{0}, waiting_count_{0}, finished_{0},
      cancelled_{0};
  std::atomic<double> seconds_{0}, last_step_at_{0};
};

}  // namespace dpm
