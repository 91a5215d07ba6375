// What a network computes from a sample's time and label alone, kept per time: samplers come back to the same few.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

class TimeTable {
 public:
  TimeTable(Device& device, const dpm_graph& graph, const std::vector<ValueInfo>& values);

  /// Looks the samples of an evaluation up. Where one is missing, every node has to run and be stored, and then
  /// `finish` called; otherwise they can be restored.
  bool find(const RunContext& context);
  void finish();
  /// Whether no node depends on times and labels alone.
  [[nodiscard]] bool is_empty() const;

  /// Whether node `index` reads nothing but times and labels, by way of other such nodes.
  [[nodiscard]] bool holds(std::size_t index) const { return nodes_[index].constant; }
  /// Writes what node `index` would compute.
  void restore(std::size_t index, const RunContext& context) const;
  /// Keeps what node `index` has computed.
  void store(std::size_t index, const RunContext& context) const;

 private:
  struct NodeRow {
    bool constant = false;
    bool kept = false;  ///< read by nodes that are not
    int output = -1;
    int channels = 0;
    std::size_t offset = 0;  ///< in a row
  };

  struct Row {
    CountedBuffer memory;
    bool filled = false;
  };

  /// What was found for row n of a part of the evaluation.
  [[nodiscard]] const Row& found_of(const RunContext& context, int n) const;
  [[nodiscard]] std::uint64_t key_of(const RunContext& context, int sample) const;
  void find_constant_nodes(const dpm_graph& graph, const std::vector<ValueInfo>& values);
  void lay_out_rows(const dpm_graph& graph, const std::vector<ValueInfo>& values);

  Device& device_;
  int time_;  ///< bindings, -1 where there is none
  int label_;
  std::vector<NodeRow> nodes_;
  std::size_t row_floats_ = 0;
  std::unordered_map<std::uint64_t, Row> rows_;  ///< by time and label
  std::vector<Row*> found_;                      ///< per sample of the evaluation
};

}  // namespace dpm::cpu
