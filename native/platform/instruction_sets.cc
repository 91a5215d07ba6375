#include "platform/instruction_sets.h"

#include <initializer_list>

#include "platform/processor.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace dpm::platform {
namespace {

bool has(std::uint64_t bits, std::initializer_list<int> wanted) {
  for (int bit : wanted) {
    if ((bits >> bit & 1) == 0) return false;
  }
  return true;
}

}  // namespace

InstructionSets instruction_sets_of(const ProcessorReport& report) {
  InstructionSets sets;
  // Leaf 1 has FMA, XGETBV allowed, AVX. XCR0 has SSE and AVX, the masks and both halves of AVX-512, tiles and their
  // shapes.
  const bool avx = has(report.leaf1_ecx, {27, 28}) && has(report.kept_registers, {1, 2});
  sets.avx2 = avx && has(report.leaf1_ecx, {12}) && has(report.leaf7_ebx, {5});
  // Leaf 7 has AVX-512 F, DQ, BW, VL.
  sets.avx512 = sets.avx2 && has(report.leaf7_ebx, {16, 17, 30, 31}) && has(report.kept_registers, {5, 6, 7});
  sets.avx512_bf16 = sets.avx512 && has(report.leaf7_1_eax, {5});
  sets.amx_bf16 = sets.avx512_bf16 && has(report.leaf7_edx, {22, 24}) && has(report.kept_registers, {17, 18});
  return sets;
}

ProcessorReport read_processor() {
  ProcessorReport report;
#if defined(__x86_64__)
  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0) report.leaf1_ecx = ecx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
    report.leaf7_ebx = ebx;
    report.leaf7_edx = edx;
    const std::uint32_t last_subleaf = eax;
    if (last_subleaf >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) report.leaf7_1_eax = eax;
  }
  if (has(report.leaf1_ecx, {27})) {
    asm volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    report.kept_registers = std::uint64_t{edx} << 32 | eax;
    constexpr std::uint64_t kAvx512Registers = 0xE0;
    if (keeps_avx512_from_first_use()) report.kept_registers |= kAvx512Registers;
  }
#endif
  return report;
}

}  // namespace dpm::platform
