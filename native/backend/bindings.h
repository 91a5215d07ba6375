// Bindings: the caller's tensors that a graph reads and writes.
#pragma once

#include <string_view>

#include "backend/backend.h"

namespace dpm {

inline bool is_bound(const dpm_value& value) { return value.binding >= 0; }

/// Returns the index of the binding called `name`, -1 where the graph has none. Used at loading; evaluations use the
/// index.
inline int find_binding(const dpm_graph& graph, std::string_view name) {
  for (std::uint32_t i = 0; i < graph.binding_count; ++i) {
    if (name == graph.bindings[i].name) return static_cast<int>(i);
  }
  return -1;
}

/// Returns whether `value` is bound to one number per sample instead of a map: the time, or a label.
inline bool is_condition(const dpm_graph& graph, const dpm_value& value) {
  if (!is_bound(value)) return false;
  const std::string_view name = graph.bindings[value.binding].name;
  return name == DPM_BINDING_TIME || name == DPM_BINDING_LABEL;
}

inline bool is_bound_to(const dpm_graph& graph, const dpm_value& value, std::string_view name) {
  return is_bound(value) && name == graph.bindings[value.binding].name;
}

}  // namespace dpm
