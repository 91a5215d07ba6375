// The emulated plug-in's interface for tests, beside the device's own interface.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime.h"

/// Name of the symbol, of type dpm_emulation_function.
#define DPM_EMULATION "dpm_emulation"

struct dpm_emulation_controls {
  dpm::simt::Counters (*counters)();
  void (*reset_counters)();
  void (*limit_memory)(std::size_t bytes);
  void (*limit_pinned)(std::size_t bytes);
  void (*fail_allocations)(std::uint64_t after, std::uint64_t count);
  void (*check_memory)();
  void (*linger)(double seconds);
  void (*break_device)(cudaError_t error, std::uint64_t after);
  void (*repair_device)();
  void (*invalidate_captures)(int count);
  std::size_t (*queued)();
  void (*set_branch_order)(dpm::simt::BranchOrder order);
  void (*set_thread_order)(std::uint32_t seed);
};

using dpm_emulation_function = const dpm_emulation_controls* (*)();
