// A batch of one network that samples join and leave at every evaluation: slots over the same registers, of which those
// that come first run, a step at a turn.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/network.h"
#include "engine/turns.h"
#include "sampling/choose.h"
#include "sampling/evaluator.h"
#include "sampling/initial_states.h"
#include "sampling/lane_request.h"
#include "sampling/lane_results.h"
#include "sampling/registers.h"
#include "sampling/step.h"

namespace dpm {

struct LaneOptions {
  std::uint32_t rows = 1;   ///< that the network sees in a step at most
  std::uint32_t slots = 1;  ///< samples that have a state
  bool fit = true;          ///< rows are left out where padding would cost more
  /// Every step is computed at its full size, so that no sample's bits depend on the others.
  bool whole = false;
  double weight = 1;  ///< share of the engine's time
  /// Called on the engine's thread when the evaluator answers later. The lane does nothing until `end_step` or
  /// `abandon_step`.
  std::function<void()> question = nullptr;
};

struct LaneStatistics {
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

class Lane final : public TurnTaker {
 public:
  /// Allocates what every step needs; a card allocates its tables with the first ones. On the engine's thread.
  Lane(std::unique_ptr<Evaluator> evaluator, LaneOptions options);
  ~Lane() override;

  /// Throws Error(kArgument) when the request cannot run here.
  void check(const LaneRequest& request) const { check_lane_request(request, shape_, options_.rows); }
  /// Takes a request that has been checked, from any thread; the engine has to be woken. What goes wrong is told by
  /// `finished`, on the engine's thread, or on this one when the lane has ended.
  void submit(std::unique_ptr<LaneRequest> request);
  /// Whether a step waits for the answer of its evaluator, whose tensors are gone otherwise.
  [[nodiscard]] bool waits() const { return waits_; }
  /// Ends the step whose predictions have come, or the requests that take part in it; on the engine's thread. Nothing
  /// where no answer is waited for.
  void end_step() noexcept;
  void abandon_step(ErrorCode code, const std::string& message) noexcept;
  /// From any thread.
  [[nodiscard]] LaneStatistics statistics() const;

  [[nodiscard]] bool has_work() const override {
    return attention_ || (!waits_ && unfinished_ > 0) || is_queued_;
  }
  double take_turn() noexcept override;
  void settle() noexcept override;
  void look_for_cancelled() noexcept override { attention_ = true; }
  void end(ErrorCode code, const std::string& message) noexcept override;

 private:
  /// A request that has not been finished.
  struct Active {
    std::unique_ptr<LaneRequest> request;
    RunResult result;
    std::uint64_t records_done = 0;
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

  /// What a step that the device has queued brings a sample.
  struct Arrival {
    Active* owner = nullptr;  ///< null once the request has been finished
    std::uint32_t sample = 0;
    std::uint32_t records = 0;
    bool is_last = false;
    std::unique_ptr<Transfer> state;  ///< null where nobody wants to see it
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

  /// Of the steady clock.
  [[nodiscard]] static double seconds_now();
  void take_inbox();
  /// Waits for what a device has queued of a step that it does not take as a whole.
  void wait_for_device();
  /// Room for the results of a request, whose first sample begins. False where there is none: it is finished then.
  bool make_result(Active& active);
  void accept(std::unique_ptr<LaneRequest> request);
  void drop_cancelled();
  /// Gives slots to samples that would run in this step.
  void join();
  /// Rows that a sample's next record takes.
  [[nodiscard]] static std::uint32_t rows_of_next(const Slot& slot);
  /// Rows of the samples with a slot that come before `place`.
  [[nodiscard]] std::uint32_t rows_before(const Place& place) const;
  void enter(const Sample& sample);
  /// Lists the slots that take part; returns the rows that the network sees.
  std::uint32_t choose_running();
  void begin_step(std::uint32_t rows);
  /// Whether the device takes the step as a whole, and nobody looks at what lies within.
  [[nodiscard]] bool is_whole_step() const;
  void queue_step();
  /// Goes on from the step that has just been queued: its samples may leave, their states arrive later.
  void depart();
  /// Gives what the step has brought that was on its way and took `seconds`.
  void arrive(double seconds);
  /// Waits for the step that is on its way, if there is one.
  void wait_for_queued();
  void update_step();
  /// Counts the step; returns the rows that are computed for its.
  std::uint32_t count_step();
  /// Whether its data prediction is to be seen after this step.
  [[nodiscard]] static bool shows_prediction(const Slot& slot);
  /// Does `work`; what it throws ends the lane.
  template <typename Work>
  void guarded(const Work& work) noexcept;
  /// Ends after an error of its own.
  void give_up(ErrorCode code, const std::string& message) noexcept;
  void upload_noise(std::uint32_t slot);
  /// Shows the data predictions that are to be seen after this step.
  void preview_predictions(const dpm_update& registers);
  /// After its record; the slot is free after the sample's last one. Returns what the record brings, without the state.
  Arrival pass(std::uint32_t slot);
  /// Keeps, shows and gives what a record has made of a sample.
  void give(const Arrival& arrival, std::uint32_t row);
  /// Takes a request out of everything and tells its end.
  void finish(Active& active, ErrorCode code, const std::string& message);
  void remove_samples(const Active& active);
  /// For heaps with the first of the order on top.
  static bool comes_later(const Sample& a, const Sample& b);

  /// Gone, with its network, when the lane has ended.
  std::unique_ptr<Evaluator> evaluator_;
  const NetworkShape shape_;
  const LaneOptions options_;
  std::unique_ptr<Registers> registers_;
  std::unique_ptr<Step> step_;
  /// One image: a data prediction that is shown.
  std::shared_ptr<Buffer> shown_;
  StepLimits limits_;
  StepCosts costs_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  /// A heap of those that have no slot yet.
  std::vector<Sample> waiting_;
  std::vector<std::unique_ptr<Active>> active_;
  /// Requests that were finished while a step of theirs waits for its answer: it refers to their records.
  std::vector<std::unique_ptr<Active>> left_behind_;
  std::uint64_t arrivals_ = 0;
  std::vector<Candidate> candidates_;
  std::vector<std::uint32_t> running_;
  std::vector<StepSample> step_samples_;
  std::uint32_t step_rows_ = 0;
  /// Of the step that is queued, and the rows that it computes.
  std::vector<Arrival> on_their_way_;
  std::uint32_t queued_rows_ = 0;
  double step_start_ = 0;
  /// Seconds that a turn has used, where they are others than those it took.
  std::optional<double> charged_;
  /// Of the samples that have joined and have no state yet.
  InitialStates initial_states_;

  std::mutex inbox_mutex_;
  std::vector<std::unique_ptr<LaneRequest>> inbox_;
  std::vector<std::unique_ptr<LaneRequest>> taken_;
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
