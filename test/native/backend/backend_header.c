/* The seam's header is C: this file is compiled as such, and fills a table as a plug-in in C would. */
#include "backend/backend.h"

_Static_assert(DPM_BACKEND_ABI == 14, "a change of the interface is a new version");
_Static_assert(sizeof(dpm_record) == 192, "the record is 48 words");

static int probe(int32_t index, dpm_message* description, dpm_message* reason) {
  (void)description;
  (void)reason;
  return index == 0 ? 1 : -1;
}

const dpm_backend* dpm_table_in_c(void) {
  static const dpm_backend table = {
      .abi_version = DPM_BACKEND_ABI,
      .struct_size = sizeof(dpm_backend),
      .layout_size = sizeof(dpm_layout),
      .layout =
          {
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
          },
      .name = "c",
      .probe = probe,
  };
  return &table;
}
