// One step of the samples that take part: what the network sees of them, classifier-free guidance, their updates.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/guidance.h"
#include "sampling/evaluator.h"
#include "sampling/registers.h"

namespace dpm {

/// A sample's part in a step.
struct StepSample {
  std::uint32_t row = 0;     ///< row of the registers
  std::uint32_t sample = 0;  ///< index of the sample in its request
  const dpm_record* record = nullptr;
  std::int32_t label = -1;
  /// Label of the unconditional evaluation.
  std::int32_t unconditional_label = -1;
  /// Weight of the conditional prediction; 0: the unconditional prediction alone.
  float guidance = 1;
  /// The prediction is read again later, so it is stored in its row of the registers.
  bool keeps = false;
  /// Noise is given for the sample: row `noise_row` of the registers' noise.
  bool has_noise = false;
  std::uint32_t noise_row = 0;
  std::uint32_t seed_low = 0;
  std::uint32_t seed_high = 0;
  std::uint32_t sample_index = 0;
  std::uint32_t record_index = 0;
};

/// Returns the part of sample `sample` of a request, with its state in row `row` of the registers, in a step of its
/// record `index`. Noise is taken from `noise_row` where the request gives noise.
StepSample step_sample(const RunRequest& request, std::uint32_t sample, std::uint32_t row, std::uint32_t index,
                       std::uint32_t noise_row);
/// Describes what the sample's update reads and writes, with its prediction in `network_row`.
dpm_update_sample update_sample(const StepSample& sample, std::uint32_t network_row);

/// The number of network rows that a sample takes in a step of this record.
inline std::uint32_t rows_of(const dpm_record& record, float guidance) {
  if (!evaluates(record)) return 0;
  return is_guided(guidance) ? 2 : 1;
}
inline std::uint32_t rows_of(const StepSample& sample) { return rows_of(*sample.record, sample.guidance); }

/// A step: `evaluate`, `settle` once the predictions are there, then `update`; or `queue` where the device takes the
/// step as a whole.
class Step {
 public:
  /// Prepares steps for registers of `rows` rows, of which the network sees up to `evaluated` at once. Evaluations of
  /// fewer than `least` rows are filled up with a repeated row.
  Step(Evaluator& evaluator, std::uint32_t rows, std::uint32_t evaluated, std::uint32_t least = 0);
  /// Allocates what any step can need, so that steps allocate nothing.
  void reserve();

  /// Evaluates the samples whose records ask for it, from x and y of `registers`, and gradients of guides. Returns
  /// false when some of the results come later.
  bool evaluate(const std::vector<StepSample>& samples, const dpm_update& registers);
  /// Mixes guided predictions, and moves the predictions that are kept to their rows.
  void settle(const dpm_update& registers);
  /// Updates all samples of the step by their records.
  void update(const dpm_update& registers);
  /// Returns whether the device takes the step of these samples as a whole.
  [[nodiscard]] bool is_whole(const std::vector<StepSample>& samples) const;
  /// Queues the step, and returns when the one before it is done. The result is the seconds of this object's finished
  /// steps that were not reported yet, where they are timed.
  double queue(const std::vector<StepSample>& samples, const dpm_update& registers, bool is_timed);
  /// Waits for all queued steps; returns seconds as `queue` does.
  double wait();
  /// Uploads the labels that the network would see if every sample evaluated once; the view is absent where it takes no
  /// labels.
  dpm_view upload_labels(const std::vector<StepSample>& samples);

  /// Writes input * in + output * out of one of the step's samples, clipped as its record says, to row 0 of
  /// `destination`. Callable between `settle` and `update`.
  void predict(std::size_t sample, float input, float output, const dpm_update& registers, const dpm_view& destination);

 private:
  /// A row that the network sees, for the sample with this index.
  struct Seen {
    std::uint32_t sample = 0;
    std::int32_t label = -1;
  };
  /// Location of the predictions that an update reads.
  struct Predictions {
    dpm_view out{};
    dpm_view head{};
  };

  std::shared_ptr<Buffer> allocated(std::uint32_t rows, std::uint64_t elements);
  /// Allocates predictions of at least `rows` rows; growing loses their contents.
  void allocate_compact(std::uint32_t rows);
  /// Lists the network's rows: first one for every evaluating sample, then the unconditional ones of the guided, then
  /// the repeated ones.
  void list_seen();
  void upload_times();
  /// `labels_` on the device; absent where the network takes none.
  dpm_view uploaded_labels();
  /// The network's input: the state itself where every row reads the same register unscaled, otherwise a gathered copy.
  dpm_view input(const dpm_update& registers);
  /// Predictions of this step's evaluation: in the registers, or one after the other.
  [[nodiscard]] Predictions fresh(const dpm_update& registers) const;
  [[nodiscard]] Predictions compact() const;
  /// Moves the predictions that are kept to their rows.
  void keep(std::uint64_t elements, const dpm_view& compact, const dpm_view& destination);
  void mix_guided();
  /// Computes the evaluator's guides where a record takes them. Returns false when they come later.
  bool evaluate_guides(const Evaluation& evaluation);
  /// Lists the samples of work that the device takes as a whole.
  void list_whole();
  /// Updates the samples that match `evaluated` (the record evaluates) and `has_noise` (their noise is given).
  void update_some(bool evaluated, bool has_noise, const dpm_update& registers);

  Evaluator& evaluator_;
  const NetworkShape shape_;
  const std::uint32_t rows_;
  const std::uint32_t evaluated_;
  const std::uint32_t least_;
  std::vector<StepSample> samples_;
  /// Number of samples that evaluate; they come first among the network's rows.
  std::uint32_t asked_ = 0;
  /// Number of unconditional rows, which follow behind the evaluating samples' rows.
  std::uint32_t guided_ = 0;
  std::vector<Seen> seen_;
  bool in_place_ = false;
  std::vector<float> times_;
  std::vector<std::int32_t> labels_;
  std::vector<std::uint32_t> asking_samples_;
  std::vector<dpm_record> records_;
  std::vector<dpm_update_sample> moves_;
  /// Places of the guided samples among the evaluating samples, for a whole step.
  std::vector<std::uint32_t> guided_places_;
  std::vector<float> guidance_;
  std::vector<std::uint32_t> kept_places_;
  std::uint32_t compact_rows_ = 0;
  std::shared_ptr<Buffer> time_, label_, input_, compact_out_, compact_head_;
};

}  // namespace dpm
