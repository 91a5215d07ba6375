// What depends on times and labels alone is computed for all steps of a trajectory before the first.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/execution/condition_path.h"
#include "cuda/execution/network.h"
#include "cuda/kernels/step.h"

namespace dpm::cuda {

/// The results of that path for the steps of one trajectory.
class Conditions {
 public:
  explicit Conditions(Network& network) : network_(network) {}

  /// What the rows of a trajectory's table are computed from.
  struct Request {
    std::uint32_t batch = 0;
    const std::int32_t* labels = nullptr;  ///< [batch] on the card, null without
    std::uint32_t most_batch = 0;          ///< rows that others may read of what is current
  };

  /// Queues the path for all samples of a table (steps * batch) and notes in each its row. False where the network has
  /// no such path, or where its results would take too much memory: then nothing is changed.
  bool prepare(const Request& request, std::vector<UpdateSample>* table);

  /// For the kernel that selects a step. The row of each sample becomes what the layers read at `places()`.
  void list(SelectStepArguments* arguments) const;
  /// Where the path's results lie for the layers that read them, in place of the arena's.
  void place(std::vector<unsigned char*>* places) const;

 private:
  struct Rows {
    std::vector<float> times;
    bool repeats_labels = false;
    [[nodiscard]] std::size_t count() const { return times.size(); }
  };

  [[nodiscard]] std::size_t row_bytes(int value) const;
  [[nodiscard]] bool fits(std::size_t rows) const;
  static Rows list_rows(const Request& request, bool has_labels, std::vector<UpdateSample>* table);
  void compute(const Rows& rows, const Request& request);
  void run_layers(const Rows& rows, std::size_t first, std::size_t count);
  /// That the path's layers need for so many rows: plans that were made for a batch are used for as many.
  [[nodiscard]] std::size_t scratch_bytes(std::size_t rows) const;
  void repeat_labels(const Request& request, std::size_t rows);

  Network& network_;
  /// Of the path's values: those that stay inside, for the rows that are computed at once; and of `read` the whole
  /// table and what is current.
  std::vector<DeviceMemory> inner_;
  std::vector<DeviceMemory> rows_;
  std::vector<DeviceMemory> current_;
  DeviceMemory scratch_;
  DeviceMemory times_;
  DeviceMemory labels_;
  /// The times that `rows_` were computed for, where these follow from them alone.
  std::vector<float> computed_;
};

}  // namespace dpm::cuda
