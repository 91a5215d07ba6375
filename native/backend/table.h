// What every device's table says about itself.
#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace dpm {

/// The sizes that this code was compiled with.
constexpr dpm_layout own_layout() {
  return {
      .message = sizeof(dpm_message),
      .record = sizeof(dpm_record),
      .view = sizeof(dpm_view),
      .value = sizeof(dpm_value),
      .constant = sizeof(dpm_constant),
      .attributes = sizeof(dpm_attributes),
      .node = sizeof(dpm_node),
      .binding = sizeof(dpm_binding),
      .graph = sizeof(dpm_graph),
      .plan = sizeof(dpm_plan),
      .bindings = sizeof(dpm_bindings),
      .update_sample = sizeof(dpm_update_sample),
      .update = sizeof(dpm_update),
      .gather = sizeof(dpm_gather),
      .trajectory = sizeof(dpm_trajectory),
      .step = sizeof(dpm_step),
      .reduce = sizeof(dpm_reduce),
      .memory = sizeof(dpm_memory),
      .statistics = sizeof(dpm_statistics),
      .open_options = sizeof(dpm_open_options),
  };
}

/// A struct by its name and its place among the sizes.
struct LayoutEntry {
  const char* name;
  std::uint32_t dpm_layout::* size;
};

inline constexpr LayoutEntry kLayoutEntries[] = {
    {"dpm_message", &dpm_layout::message},
    {"dpm_record", &dpm_layout::record},
    {"dpm_view", &dpm_layout::view},
    {"dpm_value", &dpm_layout::value},
    {"dpm_constant", &dpm_layout::constant},
    {"dpm_attributes", &dpm_layout::attributes},
    {"dpm_node", &dpm_layout::node},
    {"dpm_binding", &dpm_layout::binding},
    {"dpm_graph", &dpm_layout::graph},
    {"dpm_plan", &dpm_layout::plan},
    {"dpm_bindings", &dpm_layout::bindings},
    {"dpm_update_sample", &dpm_layout::update_sample},
    {"dpm_update", &dpm_layout::update},
    {"dpm_gather", &dpm_layout::gather},
    {"dpm_trajectory", &dpm_layout::trajectory},
    {"dpm_step", &dpm_layout::step},
    {"dpm_reduce", &dpm_layout::reduce},
    {"dpm_memory", &dpm_layout::memory},
    {"dpm_statistics", &dpm_layout::statistics},
    {"dpm_open_options", &dpm_layout::open_options},
};
static_assert(sizeof kLayoutEntries / sizeof *kLayoutEntries == sizeof(dpm_layout) / sizeof(std::uint32_t));

}  // namespace dpm
