/* Test that the seam's header is C: this file is compiled as C, and fills a table as a plug-in in C would. */
#include "backend/backend.h"

_Static_assert(DPM_BACKEND_ABI == 20, "a change of the interface is a new version");
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
      .struct_sizes = DPM_STRUCT_SIZES,
      .name = "c",
      .device = {.probe = probe},
  };
  return &table;
}
