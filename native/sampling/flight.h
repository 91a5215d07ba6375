// Samples that are in flight together: every one has a program and a counter of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "sampling/evaluator.h"
#include "sampling/registers.h"
#include "sampling/request.h"
#include "sampling/step.h"

namespace dpm {

class Flight {
 public:
  /// `count` samples of the request from `first` on, in their initial states. The evaluator has been reserved for them.
  Flight(Evaluator& evaluator, const RunRequest& request, std::uint32_t first, std::uint32_t count);

  /// Rows the network sees at once at most with `batch` samples in flight: two of a guided sample.
  static std::uint32_t most_evaluated(const RunRequest& request, std::uint32_t batch);

  /// Hands the programs to the device as one trajectory (dpm_trajectory) if it takes such and the samples go in step.
  /// Whether it did.
  bool begin_trajectory();
  /// Runs all records of the trajectory without a look at anything in between; returns how many there were.
  std::uint64_t finish_trajectory();

  /// Asks for what the current record of every unfinished sample needs; returns how many of these there are. `end_step`
  /// follows, once the predictions are there.
  std::uint32_t begin_step();
  /// Whether predictions are still to come.
  [[nodiscard]] bool waits() const { return waits_; }
  /// Updates every unfinished sample by its record, and goes on to the next one. In a trajectory the device does so
  /// while the caller looks after other things, unless the states are `looked_at` next. Returns how many records have
  /// been done since it was asked last.
  std::uint32_t end_step(bool looked_at);
  /// Waits for what is still on its way; returns how many records that were.
  std::uint32_t settle();

  /// The states into `images` from element `first` on.
  void download(RunImages& images, std::uint64_t first) const { registers_.download(0, count_, images, first); }
  /// Goes on from other states, [count][image], between two steps.
  void replace(const float* states) { registers_.write(0, count_, states); }

 private:
  [[nodiscard]] const SampleIdentity& sample(std::uint32_t row) const { return request_.samples[first_ + row]; }
  [[nodiscard]] const Program& program(std::uint32_t row) const { return request_.programs[sample(row).program]; }
  [[nodiscard]] const dpm_record& record(std::uint32_t row) const {
    return request_.record(sample(row).program, counters_[row]);
  }

  [[nodiscard]] Registers make_registers(Evaluator& evaluator) const;
  void draw_initial_states();
  /// The sample's part in a step of its current record.
  [[nodiscard]] StepSample step_sample(std::uint32_t row) const;
  /// The parts of the rows of `live_`.
  void list_step();

  /// Adds every step's samples to `table`; false when samples of one step differ in whether they ask the network.
  bool list_steps(std::uint32_t steps, std::vector<dpm_update_sample>& table);
  void go_on(std::uint32_t row);
  void rewind();

  Evaluator& evaluator_;
  const RunRequest& request_;
  const std::uint32_t first_;
  const std::uint32_t count_;
  const std::uint32_t evaluated_;
  Registers registers_;
  Step step_;
  bool in_trajectory_ = false;
  /// Records that the device may still be busy with.
  std::uint32_t on_their_way_ = 0;
  bool waits_ = false;
  /// The device has been given the step as a whole.
  bool is_queued_ = false;
  std::vector<std::uint32_t> counters_;
  std::vector<std::uint32_t> noise_counters_;
  std::vector<std::uint32_t> live_;
  std::vector<StepSample> step_samples_;
};

}  // namespace dpm
