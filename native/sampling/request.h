// The request of a run: programs, samples and initial states.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "backend/guidance.h"
#include "sampling/program_table.h"

namespace dpm {

class Network;

struct SampleIdentity {
  std::uint32_t program = 0;
  std::uint32_t seed_low = 0;
  std::uint32_t seed_high = 0;
  std::uint32_t index = 0;
  std::int32_t label = -1;
  /// Weight w of classifier-free guidance: out = unconditional + w (conditional - unconditional); 1: none.
  float guidance = 1;
};

/// Images [samples][image] in one of two forms.
struct RunImages {
  RunImages() = default;
  /// Allocates `elements` of the wanted form.
  RunImages(std::uint64_t elements, bool as_levels) {
    if (as_levels) {
      levels.resize(elements);
    } else {
      floats.resize(elements);
    }
  }

  std::vector<float> floats;
  std::vector<std::uint8_t> levels;
};

/// A classifier whose gradients guide samples: `scale` times the derivative of ln p(label) by what the network sees.
struct Guide {
  std::shared_ptr<Network> network;  ///< a network with Derivative::kLabelScore, on the run's device
  std::vector<std::int32_t> labels;  ///< [samples]
  float scale = 1;
};

struct RunRequest : ProgramTable {
  std::vector<SampleIdentity> samples;
  /// Guides of the run; all samples have one program where there are any.
  std::vector<Guide> guides;
  std::vector<float> init;   ///< [samples][image], or empty
  std::vector<float> noise;  ///< [noise records][samples][image], or empty
  /// The label of the unconditional evaluation; -1: no label.
  std::int32_t unconditional_label = -1;
  std::uint32_t batch = 1;
  std::uint32_t snapshot_every = 0;
  /// The results are 8-bit levels instead of floats.
  bool levels = false;
  /// The run may be cancelled or reports its progress, so it stops between any two records.
  bool watched = false;
  std::shared_ptr<std::atomic<bool>> cancelled;
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
  /// Interval of previews, in records: the states of the samples in flight are shown, beginning with sample `first`; 0:
  /// never.
  std::uint32_t preview_every = 0;
  std::function<void(std::uint32_t record, std::uint32_t first, RunImages images)> preview;

  /// Returns whether any sample takes two evaluations.
  [[nodiscard]] bool has_guided_samples() const {
    return std::any_of(samples.begin(), samples.end(),
                       [](const SampleIdentity& sample) { return is_guided(sample.guidance); });
  }
};

}  // namespace dpm
