// Instruction sets that a processor runs beyond its architecture's baseline.
#pragma once

#include <cstdint>

namespace dpm::platform {

/// Report of an x86-64 processor: registers of CPUID by leaf (and subleaf), and XCR0, whose bits are the registers that
/// the system keeps for each thread.
struct ProcessorReport {
  std::uint32_t leaf1_ecx = 0;
  std::uint32_t leaf7_ebx = 0;
  std::uint32_t leaf7_edx = 0;
  std::uint32_t leaf7_1_eax = 0;
  std::uint64_t kept_registers = 0;
};

/// Instruction sets that the processor has and whose registers the system keeps.
struct InstructionSets {
  /// AVX2 and FMA.
  bool avx2 = false;
  /// AVX-512 F, BW, DQ and VL.
  bool avx512 = false;
  /// AVX512-BF16, products of bfloat16 numbers, besides `avx512`.
  bool avx512_bf16 = false;
  /// AMX-BF16, tiles of bfloat16, besides `avx512_bf16`; a process has to request them (`may_use_tiles`).
  bool amx_bf16 = false;
};

/// Decodes a report by Intel's Software Developer's Manual, volume 1, chapters 14, 15 and 18.
InstructionSets instruction_sets_of(const ProcessorReport& report);

/// Reads the report of the processor that this runs on; all zero on other architectures.
ProcessorReport read_processor();

}  // namespace dpm::platform
