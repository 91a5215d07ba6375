#include "emulated_device.h"

extern "C" __attribute__((visibility("default"))) const dpm_emulation_controls* dpm_emulation() {
  static const dpm_emulation_controls controls = {
      dpm::simt::counters,         dpm::simt::reset_counters,      dpm::simt::limit_memory, dpm::simt::limit_pinned,
      dpm::simt::fail_allocations, dpm::simt::check_memory,        dpm::simt::linger,       dpm::simt::break_device,
      dpm::simt::repair_device,    dpm::simt::invalidate_captures, dpm::simt::queued,       dpm::simt::set_branch_order,
      dpm::simt::set_seed};
  return &controls;
}
