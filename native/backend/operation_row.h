// Rows of a device's table of operations.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "core/error.h"

namespace dpm {

/// An operation, the condition for nodes of it that a device takes, and the function that makes their layer. `Given` is
/// further input of the condition.
template <typename Layer, typename LayerFactory, typename... Given>
struct OperationRow {
  dpm_op op;
  bool (*takes)(const Given&... given, const dpm_graph& graph, const dpm_node& node);
  std::unique_ptr<Layer> (*make)(const LayerFactory& factory, const dpm_node& node);
  std::uint32_t outputs = 1;  ///< the most results of a node
};

/// Finds the row of a node that the device takes; null for any other. `given` comes before the node in `takes`.
template <typename Row, std::size_t Count, typename... Given>
const Row* row_of(const Row (&rows)[Count], const dpm_node& node, const Given&... given) {
  const auto* const row = std::ranges::find_if(rows, [&](const Row& each) { return each.op == node.op; });
  return row != std::end(rows) && node.output_count >= 1 && node.output_count <= row->outputs &&
                 row->takes(given..., node)
             ? row
             : nullptr;
}

/// Finds the row of a node and makes its layer. Throws Error(kUnsupported) naming the node where there is no row.
template <typename Row, typename LayerFactory>
auto make_by(const Row* row, const LayerFactory& factory, const dpm_node& node, const char* device) {
  if (row != nullptr) return row->make(factory, node);
  throw Error(ErrorCode::kUnsupported,
              std::string(node.name) + ": the " + device + " device cannot run this operation on these inputs");
}

}  // namespace dpm
