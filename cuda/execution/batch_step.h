// A step of a batch that samples join and leave: one copy to the GPU, one graph.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

#include "cuda/execution/executable.h"

namespace dpm::cuda {

/// Parts of a step beside the evaluation and update; steps of one kind and size share a graph.
struct BatchStepKind {
  bool guides = false;
  bool clips_dynamically = false;
  bool keeps = false;
};

class BatchStep {
 public:
  explicit BatchStep(Executable& executable);

  /// Queues a step (dpm_backend::step) and waits for the one before it. Returns the seconds on the GPU of the owner's
  /// steps that are done and were not yet reported.
  double run(const dpm_step& request);
  /// Waits for the last step; returns seconds as `run` does.
  double settle(const void* owner);

 private:
  /// Offsets in bytes of the parts of a table.
  struct Parts {
    Parts(std::size_t rows, const BatchStepKind& kind);

    std::size_t times;  ///< the times; the samples' rows are at 0
    std::size_t labels;
    std::size_t mixtures;  ///< the guided samples, each of which has two rows
    std::size_t kept;
    std::size_t bytes;
  };
  /// A step that is being queued: its request, the rows that are computed for it, and its table.
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
  /// Writes the table and queues its copy to the GPU.
  void upload(const Work& work);
  [[nodiscard]] GraphKey key(const Work& work) const;
  void queue(const Work& work) const;
  /// Mixes the predictions of guided samples.
  void guide(const Work& work) const;
  /// Copies one of the network's outputs for samples whose predictions are kept.
  void keep(const Work& work, int value, const dpm_view& from, const dpm_view& to) const;
  /// Returns whether a tensor has at least `rows` rows.
  static bool has_rows(const dpm_view& view, std::uint64_t rows, std::uint64_t elements);
  /// Waits for the step of a slot, if it is queued, and records its seconds.
  void finish(std::size_t index);
  /// Returns the seconds recorded for an owner, and forgets them.
  double told(const void* owner);

  /// A slot of the two steps that may be queued at a time, in turn.
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
