#include "devices/cpu/time_table.h"

#include <algorithm>
#include <bit>

#include "backend/bindings.h"

namespace dpm::cpu {
namespace {

constexpr std::size_t kMostBytes = std::size_t{32} << 20;
/// What a sample without a label has where labels are given.
constexpr std::int32_t kNoLabel = -1;

}  // namespace

TimeTable::TimeTable(Device& device, const dpm_graph& graph, const std::vector<ValueInfo>& values, bool weights_move)
    : device_(device),
      time_(find_binding(graph, DPM_BINDING_TIME)),
      label_(find_binding(graph, DPM_BINDING_LABEL)),
      nodes_(graph.node_count) {
  if (weights_move) return;
  find_constant_nodes(graph, values);
  lay_out_rows(graph, values);
}

std::uint64_t TimeTable::key_of(const RunContext& context, int sample) const {
  const auto* times = static_cast<const float*>(context.bound(time_));
  const auto* labels = static_cast<const std::int32_t*>(context.bound(label_));
  const std::uint64_t label = static_cast<std::uint32_t>(labels == nullptr ? kNoLabel : labels[sample]);
  return label << 32 | (times == nullptr ? 0 : std::bit_cast<std::uint32_t>(times[sample]));
}

void TimeTable::find_constant_nodes(const dpm_graph& graph, const std::vector<ValueInfo>& values) {
  const auto root = [&](int value) { return static_cast<std::size_t>(values[static_cast<std::size_t>(value)].root); };
  std::vector<int> writers(values.size(), 0);
  for (std::uint32_t i = 0; i < graph.node_count; ++i) ++writers[root(output_of(graph.nodes[i]))];
  std::vector<bool> constant(values.size(), false);
  for (std::size_t v = 0; v < values.size(); ++v) {
    constant[v] = is_condition(graph, values[v].shape);
  }
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    const dpm_node& node = graph.nodes[i];
    const dpm_value& out = values[static_cast<std::size_t>(output_of(node))].shape;
    bool only_constants = node.output_count == 1 && !is_bound(out) && out.height * out.width == 1;
    for (std::uint32_t k = 0; k < node.input_count; ++k) {
      only_constants = only_constants && (node.inputs[k] < 0 || constant[root(node.inputs[k])]);
    }
    nodes_[i].constant = only_constants;
    nodes_[i].output = output_of(node);
    if (only_constants && writers[root(output_of(node))] == 1) constant[root(output_of(node))] = true;
  }
}

void TimeTable::lay_out_rows(const dpm_graph& graph, const std::vector<ValueInfo>& values) {
  const auto root = [&](int value) { return values[static_cast<std::size_t>(value)].root; };
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    NodeRow& row = nodes_[i];
    if (!row.constant) continue;
    for (std::uint32_t j = i + 1; j < graph.node_count && !row.kept; ++j) {
      for (std::uint32_t k = 0; k < graph.nodes[j].input_count; ++k) {
        const int input = graph.nodes[j].inputs[k];
        row.kept = row.kept || (input >= 0 && root(input) == root(row.output) && !nodes_[j].constant);
      }
    }
    if (!row.kept) continue;
    row.channels = values[static_cast<std::size_t>(row.output)].shape.channels;
    row.offset = row_floats_;
    row_floats_ += static_cast<std::size_t>(row.channels);
  }
}

bool TimeTable::is_empty() const {
  return std::none_of(nodes_.begin(), nodes_.end(), [](const NodeRow& node) { return node.constant; });
}

bool TimeTable::find(const RunContext& context) {
  found_.clear();
  const std::size_t bytes = row_floats_ * sizeof(float);
  const auto batch = static_cast<std::size_t>(context.batch);
  if (bytes == 0 || batch * bytes > kMostBytes) return false;
  if ((rows_.size() + batch) * bytes > kMostBytes) rows_.clear();
  bool complete = true;
  for (int n = 0; n < context.batch; ++n) {
    Row& row = rows_[key_of(context, n)];
    if (!row.filled && row.memory.size() == 0) row.memory = CountedBuffer(device_.memory, bytes);
    complete = complete && row.filled;
    found_.push_back(&row);
  }
  return complete;
}

void TimeTable::finish() {
  for (Row* row : found_) row->filled = true;
}

const TimeTable::Row& TimeTable::found_of(const RunContext& context, int n) const {
  return *found_[static_cast<std::size_t>(context.first_row) + static_cast<std::size_t>(n)];
}

void TimeTable::restore(std::size_t index, const RunContext& context) const {
  const NodeRow& row = nodes_[index];
  if (!row.kept) return;
  const MapView out = context.map(row.output);
  for (int n = 0; n < context.batch; ++n) {
    std::copy_n(found_of(context, n).memory.floats() + row.offset, row.channels, out.sample(n));
  }
}

void TimeTable::store(std::size_t index, const RunContext& context) const {
  const NodeRow& row = nodes_[index];
  if (!row.kept || found_.empty()) return;
  const MapView out = context.map(row.output);
  for (int n = 0; n < context.batch; ++n) {
    std::copy_n(out.sample(n), row.channels, found_of(context, n).memory.floats() + row.offset);
  }
}

}  // namespace dpm::cpu
