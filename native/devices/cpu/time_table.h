// Results that a network computes from a sample's time and label alone, kept per time, because samplers use the same
// few times again.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

class TimeTable {
 public:
  /// Where weights move, no result is kept.
  TimeTable(Device& device, const dpm_graph& graph, const std::vector<ValueInfo>& values, bool weights_move);

  /// Looks up the samples of an evaluation. Where one is missing, every node has to run and be stored, and then
  /// `finish` called; otherwise all can be restored.
  bool find(const RunContext& context);
  void finish();
  /// Returns whether no node depends on times and labels alone.
  [[nodiscard]] bool is_empty() const;

  /// Returns whether node `index` reads nothing but times and labels, directly or through other such nodes.
  [[nodiscard]] bool holds(std::size_t index) const { return nodes_[index].constant; }
  /// Writes the stored result of node `index`.
  void restore(std::size_t index, const RunContext& context) const;
  /// Stores the result of node `index`.
  void store(std::size_t index, const RunContext& context) const;

 private:
  struct NodeRow {
    bool constant = false;
    bool kept = false;  ///< tells whether nodes that depend on more read the result
    int output = -1;
    int channels = 0;
    std::size_t offset = 0;  ///< offset in a row
  };

  struct Row {
    CountedBuffer memory;
    bool filled = false;
  };

  /// Returns the row found for row n of a part of the evaluation.
  [[nodiscard]] const Row& found_of(const RunContext& context, int n) const;
  [[nodiscard]] std::uint64_t key_of(const RunContext& context, int sample) const;
  void find_constant_nodes(const dpm_graph& graph, const std::vector<ValueInfo>& values);
  void lay_out_rows(const dpm_graph& graph, const std::vector<ValueInfo>& values);

  Device& device_;
  int time_;  ///< indices of bindings, -1 where there is none
  int label_;
  std::vector<NodeRow> nodes_;
  std::size_t row_floats_ = 0;
  std::unordered_map<std::uint64_t, Row> rows_;  ///< rows by time and label
  std::vector<Row*> found_;                      ///< row per sample of the evaluation
};

}  // namespace dpm::cpu
