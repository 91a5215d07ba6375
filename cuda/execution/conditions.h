// Results that depend on times and labels alone, computed for all steps of a trajectory before the first.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/execution/condition_path.h"
#include "cuda/execution/network.h"
#include "cuda/kernels/step.h"

namespace dpm::cuda {

/// The results of the condition path for the steps of one trajectory.
class Conditions {
 public:
  explicit Conditions(Network& network) : network_(network) {}

  /// Inputs of the rows of a trajectory's table.
  struct Wanted {
    std::uint32_t batch = 0;
    const std::int32_t* labels = nullptr;  ///< labels [batch] on the GPU, null without labels
    std::uint32_t most_batch = 0;          ///< maximum of rows that other layers may read of the current step's results
  };

  /// Queues the path for all samples of a table (steps * batch) and sets each one's row. Returns false, with nothing
  /// changed, where the network has no such path or its weights move, or where its results would take too much memory.
  bool prepare(const Wanted& wanted, std::vector<UpdateSample>* table);

  /// Lists the results for the kernel that selects a step. It copies the row of each sample to the place in `places()`
  /// where the layers read.
  void list(SelectStepArguments* arguments) const;
  /// Sets the places of the path's results for the layers that read them, instead of those in the arena.
  void place(std::vector<unsigned char*>* places) const;

 private:
  struct Rows {
    std::vector<float> times;
    bool repeats_labels = false;
    [[nodiscard]] std::size_t count() const { return times.size(); }
  };

  [[nodiscard]] std::size_t row_bytes(int value) const;
  [[nodiscard]] bool fits(std::size_t rows) const;
  static Rows list_rows(const Wanted& wanted, bool has_labels, std::vector<UpdateSample>* table);
  void compute(const Rows& rows, const Wanted& wanted);
  void run_layers(const Rows& rows, std::size_t first, std::size_t count);
  /// Scratch memory of the path's layers for this number of rows, in bytes: plans that were made for a batch are used
  /// for the same number of rows.
  [[nodiscard]] std::size_t scratch_bytes(std::size_t rows) const;
  void repeat_labels(const Wanted& wanted, std::size_t rows);

  Network& network_;
  /// Memory of the path's values: inner values for the rows that are computed at once; for those in `read` the whole
  /// table, and the rows of the current step.
  std::vector<DeviceMemory> inner_;
  std::vector<DeviceMemory> rows_;
  std::vector<DeviceMemory> current_;
  DeviceMemory scratch_;
  DeviceMemory times_;
  DeviceMemory labels_;
  /// Times that `rows_` were computed for, where the rows depend on times alone.
  std::vector<float> computed_;
};

}  // namespace dpm::cuda
