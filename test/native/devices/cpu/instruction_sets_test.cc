// Test of the arithmetic of each instruction set, and of those that are refused.
#include <gtest/gtest.h>

#include "core/error.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

TEST(InstructionSets, Bf16IsRefusedWhereItWouldBeSlow) {
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    const auto open = [](bool exact) { return Device::open("cpu", {1, exact, DType::kBFloat16}); };
    EXPECT_EQ(code_of([&] { open(true); }), ErrorCode::kUnsupported);
    if (has_bf16(isa)) {
      EXPECT_NO_THROW(open(false));
    } else {
      EXPECT_EQ(code_of([&] { open(false); }), ErrorCode::kUnsupported);
    }
    EXPECT_EQ(code_of([] { Device::open("cpu", {1, false, DType::kFloat16}); }), ErrorCode::kUnsupported);
  }
}

TEST(InstructionSets, UnknownOnesAreRefused) {
  const ScopedEnvironment forced("DPM_CPU_ISA", "mmx");
  try {
    Device::open("cpu", {});
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_NE(std::string(error.what()).find("mmx"), std::string::npos);
  }
}

}  // namespace
}  // namespace dpm::test
