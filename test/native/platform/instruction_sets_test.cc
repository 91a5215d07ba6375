#include "platform/instruction_sets.h"

#include <gtest/gtest.h>

#include <array>
#include <type_traits>

namespace dpm::platform {
namespace {

/// Report of a processor that has all instruction sets.
constexpr ProcessorReport kAll{.leaf1_ecx = 1U << 12 | 1U << 27 | 1U << 28,
                               .leaf7_ebx = 1U << 5 | 1U << 16 | 1U << 17 | 1U << 30 | 1U << 31,
                               .leaf7_edx = 1U << 22 | 1U << 24,
                               .leaf7_1_eax = 1U << 5,
                               .kept_registers = 0x600E6};

/// Lists avx2, avx512, avx512_bf16, amx_bf16.
std::array<bool, 4> listed(const ProcessorReport& report) {
  const InstructionSets sets = instruction_sets_of(report);
  return {sets.avx2, sets.avx512, sets.avx512_bf16, sets.amx_bf16};
}

TEST(InstructionSets, AreThereWhereEverythingIsReported) {
  EXPECT_EQ(listed(kAll), (std::array{true, true, true, true}));
  EXPECT_EQ(listed({}), (std::array{false, false, false, false}));
}

TEST(InstructionSets, NeedEachOfTheirBits) {
  constexpr std::array kNone{false, false, false, false};
  constexpr std::array kAvx2{true, false, false, false};
  constexpr std::array kAvx512{true, true, false, false};
  constexpr std::array kBf16{true, true, true, false};
  const auto without = [](auto field, int bit) {
    ProcessorReport report = kAll;
    report.*field &= ~(static_cast<std::remove_reference_t<decltype(report.*field)>>(1) << bit);
    return listed(report);
  };
  for (int bit : {12, 27, 28}) EXPECT_EQ(without(&ProcessorReport::leaf1_ecx, bit), kNone) << bit;
  EXPECT_EQ(without(&ProcessorReport::leaf7_ebx, 5), kNone);
  for (int bit : {16, 17, 30, 31}) EXPECT_EQ(without(&ProcessorReport::leaf7_ebx, bit), kAvx2) << bit;
  EXPECT_EQ(without(&ProcessorReport::leaf7_1_eax, 5), kAvx512);
  for (int bit : {22, 24}) EXPECT_EQ(without(&ProcessorReport::leaf7_edx, bit), kBf16) << bit;
  for (int bit : {1, 2}) EXPECT_EQ(without(&ProcessorReport::kept_registers, bit), kNone) << bit;
  for (int bit : {5, 6, 7}) EXPECT_EQ(without(&ProcessorReport::kept_registers, bit), kAvx2) << bit;
  for (int bit : {17, 18}) EXPECT_EQ(without(&ProcessorReport::kept_registers, bit), kBf16) << bit;
}

#if defined(__x86_64__) && defined(__linux__)
TEST(InstructionSets, OfThisProcessorAreThoseThatTheCompilerFinds) {
  const auto [avx2, avx512, avx512_bf16, amx_bf16] = listed(read_processor());
  EXPECT_EQ(avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_EQ(avx512, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
  EXPECT_EQ(avx512_bf16, avx512 && __builtin_cpu_supports("avx512bf16"));
  EXPECT_TRUE(avx512_bf16 || !amx_bf16);
}
#endif

}  // namespace
}  // namespace dpm::platform
