// A step of a batch that samples join and leave: one copy to the card, one graph.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

#include "cuda/execution/executable.h"

namespace dpm::cuda {

/// What a step does beside an evaluation and an update; steps of one kind and size share a graph.
struct BatchStepKind {
  bool guides = false;
  bool clips_dynamically = false;
  bool keeps = false;
};

class BatchStep {
 public:
  explicit BatchStep(Executable& executable);

  /// Queues a step (dpm_backend::step) and waits for the one before it. Seconds that the owner's steps took on the card
  /// that are done and have not been told of.
  double run(const dpm_step& request);
  /// Waits for the last step, and returns the same.
  double settle(const void* owner);

 private:
  /// Where the parts of a table begin, in bytes.
  struct Parts {
    Parts(std::size_t rows, const BatchStepKind& kind);

    std::size_t times;  ///< the samples' rows are at 0
    std::size_t labels;
    std::size_t mixtures;  ///< of guided samples, each of which has two rows
    std::size_t kept;
    std::size_t bytes;
  };
  /// A step that is being queued: what it is asked for, the rows that are computed for it, and its table.
  struct Work {
    const dpm_step& request;
    BatchStepKind kind;
    std::uint32_t rows;
    Parts parts;
  };

  [[nodiscard]] Work work_of(const dpm_step& request) const;
  static void list_rows(const Work& work, unsigned char* table);
  static void list_mixtures(const Work& work, unsigned char* table);
  static void list_kept(const Work& work, unsigned char* table);
  /// Writes the table and queues its copy to the card.
  void upload(const Work& work);
  [[nodiscard]] GraphKey key(const Work& work) const;
  void queue(const Work& work) const;
  /// Mixes the predictions of guided samples.
  void guide(const Work& work) const;
  /// Copies one of the network's outputs, of samples whose predictions are kept.
  void keep(const Work& work, int value, const dpm_view& from, const dpm_view& to) const;
  /// Whether a tensor has so many rows.
  static bool has_rows(const dpm_view& view, std::uint64_t rows, std::uint64_t elements);
  /// Waits for the step of a slot, if it is on its way, and notes what it took.
  void finish(std::size_t index);
  /// What has been noted for an owner and is not told to him again.
  double told(const void* owner);

  /// Two steps are on their way at most, in turn.
  struct Slot {
    PinnedMemory table;
    Event start{EventUse::kTimedWaiting};
    Event end{EventUse::kTimedWaiting};
    bool is_busy = false;
    const void* owner = nullptr;
  };

  Executable& executable_;
  DeviceMemory table_;
  DeviceMemory thresholds_;
  std::array<Slot, 2> slots_;
  std::size_t next_ = 0;
  std::map<const void*, double> seconds_;
};

}  // namespace dpm::cuda
