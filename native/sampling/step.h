// One evaluation for the rows that ask: what the network sees of them, classifier-free guidance, and where the
// predictions go.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "sampling/evaluator.h"

namespace dpm {

/// A row of the registers that asks for a prediction.
struct Ask {
  std::uint32_t row = 0;
  float time = 0;
  /// The network sees the state times this.
  float input_scale = 1;
  /// The state is the register y.
  bool reads_y = false;
  std::int32_t label = -1;
  /// Weight of the conditional prediction; with 0 the unconditional one is all there is.
  float guidance = 1;
};

/// Whether a row takes two evaluations.
inline bool is_guided(float guidance) { return guidance != 1.0F && guidance != 0.0F; }

class Step {
 public:
  /// Steps of up to `rows` rows, of which the network sees up to `evaluated` at once: two of a guided one.
  Step(Evaluator& evaluator, std::uint32_t rows, std::uint32_t evaluated, std::int32_t unconditional_label);

  /// Asks for the predictions of `asks`, in the order of their rows, from the tensors x and y of `registers`. False
  /// when they come later. `settle` has to follow once they are there.
  bool evaluate(const std::vector<Ask>& asks, const dpm_update& registers);
  /// Brings the predictions to their rows of `registers.out` and, where the network has one, of `registers.head`.
  void settle(const dpm_update& registers);
  /// The labels that the network would see, on the device; absent where it takes none.
  dpm_view upload_labels(const std::vector<Ask>& asks);

 private:
  /// A row that the network sees, of the ask with this index.
  struct Seen {
    std::size_t ask = 0;
    std::int32_t label = -1;
  };

  std::shared_ptr<Buffer> allocated(std::uint64_t elements);
  /// First one row of every ask, then the unconditional one of the guided.
  void list_seen();
  void upload_times();
  dpm_view upload_seen_labels();
  /// The state itself where every row reads the same register unscaled, otherwise a gathered copy.
  dpm_view input(const dpm_update& registers);
  void copy(std::uint64_t elements, const dpm_view& x, const dpm_view& y, const dpm_view& destination);
  /// Moves the first rows of `compact` to the rows of their asks.
  void scatter(std::uint64_t elements, const dpm_view& compact, const dpm_view& destination);
  /// Mixes the unconditional predictions into those of their asks.
  void guide(const dpm_update& registers);

  Evaluator& evaluator_;
  const NetworkShape shape_;
  const std::uint32_t rows_;
  const std::uint32_t evaluated_;
  const std::int32_t unconditional_label_;
  std::vector<Ask> asks_;
  std::vector<Seen> seen_;
  bool in_place_ = false;
  std::vector<float> times_;
  std::vector<std::int32_t> labels_;
  std::vector<dpm_record> records_;
  std::vector<dpm_update_sample> samples_;
  std::shared_ptr<Buffer> time_, label_, input_, compact_out_, compact_head_;
};

}  // namespace dpm
