// A batch of whole programs on the GPU: tables in its memory, steps as graphs.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cuda/execution/conditions.h"
#include "cuda/execution/executable.h"
#include "cuda/kernels/step.h"

namespace dpm::cuda {

/// The kind of step that a record makes; steps of one kind share a graph.
struct StepKind {
  bool evaluates = false;
  bool clips_dynamically = false;
  bool operator==(const StepKind&) const = default;
};

class Trajectory {
 public:
  explicit Trajectory(Executable& executable) : executable_(executable), conditions_(executable.network) {}

  /// Copies the tables of `request` to the GPU and prepares everything that its steps need.
  void begin(const dpm_trajectory& request);
  /// Queues the next `steps`, each as the graph of its kind, and waits for those of earlier calls; with `wait`, also
  /// for these.
  void advance(std::uint32_t steps, bool wait);

 private:
  void list_steps(const dpm_trajectory& request);
  void reserve();
  void prepare_conditions();
  /// Copies as many of the next steps as fit into the table on the GPU.
  void refill();
  /// Gives the network the image of the first step in the table.
  void load_first_image() const;
  [[nodiscard]] Evaluation evaluation() const;
  [[nodiscard]] StepTable table() const;
  [[nodiscard]] SelectStepArguments selection() const;
  [[nodiscard]] GraphKey key() const;
  /// Queues one step: its coefficients come from the table.
  void queue_step(StepKind kind) const;
  void queue_finish(bool has_maps) const;
  void launch_step(StepKind kind);

  Executable& executable_;
  std::uint32_t batch_ = 0;
  std::uint32_t steps_ = 0;
  std::uint32_t done_ = 0;
  /// Number of steps that the table on the GPU can hold, and number of steps copied so far.
  std::uint32_t capacity_ = 0;
  std::uint32_t filled_ = 0;
  UpdateArguments update_{};
  const std::int32_t* labels_ = nullptr;
  std::vector<StepKind> kinds_;
  std::vector<UpdateSample> host_table_;
  DeviceMemory table_;
  DeviceMemory current_;
  DeviceMemory time_;
  DeviceMemory progress_;
  /// Events at the end of the work that the last two calls queued.
  std::array<Event, 2> ends_{Event(EventUse::kWaiting), Event(EventUse::kWaiting)};
  std::size_t last_end_ = 0;
  Conditions conditions_;
  /// Tells whether the conditions of all steps are computed before the first, and the places where the layers find
  /// them.
  bool has_conditions_ = false;
  std::vector<unsigned char*> places_;
};

}  // namespace dpm::cuda
