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
  std::uint32_t row = 0;     ///< of the registers
  std::uint32_t sample = 0;  ///< of the request
  const dpm_record* record = nullptr;
  std::int32_t label = -1;
  /// That of the unconditional evaluation.
  std::int32_t unconditional_label = -1;
  /// Weight of the conditional prediction; with 0 the unconditional one is all there is.
  float guidance = 1;
  /// The prediction is read again later: it goes to its row of the registers.
  bool keeps = false;
  /// Its noise is given: row `noise_row` of the registers' noise.
  bool has_noise = false;
  std::uint32_t noise_row = 0;
  std::uint32_t seed_low = 0;
  std::uint32_t seed_high = 0;
  std::uint32_t sample_index = 0;
  std::uint32_t record_index = 0;
};

/// The part of sample `sample` of a request, whose state is in row `row` of the registers, in a step of its record
/// number `index`. Noise is taken from `noise_row` where the request gives some.
StepSample step_sample(const RunRequest& request, std::uint32_t sample, std::uint32_t row, std::uint32_t index,
                       std::uint32_t noise_row);
/// What its update reads and writes, with its prediction in `network_row`.
dpm_update_sample update_sample(const StepSample& sample, std::uint32_t network_row);

/// The rows that the network sees of a sample in a step of this record.
inline std::uint32_t rows_of(const dpm_record& record, float guidance) {
  if (!evaluates(record)) return 0;
  return is_guided(guidance) ? 2 : 1;
}
inline std::uint32_t rows_of(const StepSample& sample) { return rows_of(*sample.record, sample.guidance); }

/// Every step is `evaluate`, `settle` once the predictions are there, and `update`; or `queue` where the device takes
/// it as a whole.
class Step {
 public:
  /// Steps of samples whose registers have `rows` rows, of which the network sees up to `evaluated` at once.
  /// Evaluations of fewer than `least` rows repeat one of theirs.
  Step(Evaluator& evaluator, std::uint32_t rows, std::uint32_t evaluated, std::uint32_t least = 0);
  /// Allocates what a step can need, so that none allocates.
  void reserve();

  /// Asks for the predictions of the samples whose records evaluate, from x and y of `registers`, and for gradients of
  /// guides. False when something of it comes later.
  bool evaluate(const std::vector<StepSample>& samples, const dpm_update& registers);
  /// Mixes guided predictions, and brings those that are kept to their rows.
  void settle(const dpm_update& registers);
  /// Updates all samples of the step by their records.
  void update(const dpm_update& registers);
  /// Whether the device takes the step of these samples as a whole.
  [[nodiscard]] bool is_whole(const std::vector<StepSample>& samples) const;
  /// Queues it, and returns when the one before it is done: the seconds of those of this object that are done and have
  /// not been told of, where they are timed.
  double queue(const std::vector<StepSample>& samples, const dpm_update& registers, bool is_timed);
  /// Waits for what has been queued, and returns the same.
  double wait();
  /// The labels that the network would see if every sample asked once, on the device; absent where it takes none.
  dpm_view upload_labels(const std::vector<StepSample>& samples);

  /// Writes input * in + output * out of one of the step's samples, clipped as its record says, to row 0 of
  /// `destination`. Between `settle` and `update`.
  void predict(std::size_t sample, float input, float output, const dpm_update& registers, const dpm_view& destination);

 private:
  /// A row that the network sees, of the sample with this index.
  struct Seen {
    std::uint32_t sample = 0;
    std::int32_t label = -1;
  };
  /// Where predictions are that an update reads.
  struct Predictions {
    dpm_view out{};
    dpm_view head{};
  };

  std::shared_ptr<Buffer> allocated(std::uint32_t rows, std::uint64_t elements);
  /// Predictions of at least so many rows, whose contents are lost when there are more than before.
  void allocate_compact(std::uint32_t rows);
  /// First one row of every sample that asks, then the unconditional one of the guided, then what is repeated.
  void list_seen();
  void upload_times();
  /// `labels_` on the device; absent where the network takes none.
  dpm_view uploaded_labels();
  /// The state itself where every row reads the same register unscaled, otherwise a gathered copy.
  dpm_view input(const dpm_update& registers);
  /// Those of the step's evaluation: in the registers, or one after the other.
  [[nodiscard]] Predictions fresh(const dpm_update& registers) const;
  [[nodiscard]] Predictions compact() const;
  /// Moves the predictions that are kept.
  void keep(std::uint64_t elements, const dpm_view& compact, const dpm_view& destination);
  void mix_guided();
  /// Has the evaluator's guides computed, where a record takes them. False when they come later.
  bool evaluate_guides(const Evaluation& evaluation);
  /// The samples that take part in what the device does as a whole.
  void list_whole();
  /// Updates the samples that evaluate or do not, whose noise is given or drawn.
  void update_some(bool evaluated, bool has_noise, const dpm_update& registers);

  Evaluator& evaluator_;
  const NetworkShape shape_;
  const std::uint32_t rows_;
  const std::uint32_t evaluated_;
  const std::uint32_t least_;
  std::vector<StepSample> samples_;
  /// How many of them ask; these come first among the rows that the network sees.
  std::uint32_t asked_ = 0;
  /// The unconditional rows behind these.
  std::uint32_t guided_ = 0;
  std::vector<Seen> seen_;
  bool in_place_ = false;
  std::vector<float> times_;
  std::vector<std::int32_t> labels_;
  std::vector<std::uint32_t> asking_samples_;
  std::vector<dpm_record> records_;
  std::vector<dpm_update_sample> moves_;
  /// Of a whole step: places among the samples that ask.
  std::vector<std::uint32_t> guided_places_;
  std::vector<float> guidance_;
  std::vector<std::uint32_t> kept_places_;
  std::uint32_t compact_rows_ = 0;
  std::shared_ptr<Buffer> time_, label_, input_, compact_out_, compact_head_;
};

}  // namespace dpm
