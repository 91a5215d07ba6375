// Which instruction sets beyond its architecture's first a processor runs.
#pragma once

#include <cstdint>

namespace dpm::platform {

/// What a processor of x86-64 says of itself: registers of CPUID by leaf (and subleaf), and XCR0, whose bits are the
/// registers that the system keeps for each thread.
struct ProcessorReport {
  std::uint32_t leaf1_ecx = 0;
  std::uint32_t leaf7_ebx = 0;
  std::uint32_t leaf7_edx = 0;
  std::uint32_t leaf7_1_eax = 0;
  std::uint64_t kept_registers = 0;
};

/// Instructions that the processor has and whose registers the system keeps.
struct InstructionSets {
  /// AVX2 and FMA.
  bool avx2 = false;
  /// AVX-512 F, BW, DQ and VL.
  bool avx512 = false;
  /// Products of bfloat16, besides `avx512`.
  bool avx512_bf16 = false;
  /// Tiles of bfloat16, besides `avx512_bf16`; a process has to ask for them (`may_use_tiles`).
  bool amx_bf16 = false;
};

/// From Intel's Software Developer's Manual, volume 1, chapters 14, 15 and 18.
InstructionSets instruction_sets_of(const ProcessorReport& report);

/// Of the processor that this runs on; all zero on other architectures.
ProcessorReport read_processor();

}  // namespace dpm::platform
