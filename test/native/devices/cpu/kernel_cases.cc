#include "devices/cpu/kernel_cases.h"

#include <gtest/gtest.h>

namespace dpm::test {

Case image_case(GraphMaker& maker, RandomValues& random, int batch, float shift) {
  Case test;
  test.graph = maker.graph();
  test.batch = batch;
  test.inputs.image = random.normals(static_cast<std::size_t>(batch) * test.graph.values[0].elements(), 1, shift);
  return test;
}

bool has_bf16(const std::string& isa) { return isa == "amx" || isa == "avx512bf16"; }

void compare_with_reference(const Family& family) {
  const auto reference = Device::open("reference", {});
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    for (int index = 0; index < family.cases; ++index) {
      RandomValues random(static_cast<std::uint32_t>(100 + index));
      const Case test = family.make(random, index);
      const auto expected = run_graph(reference, test.graph, test.batch, test.inputs, false);
      const auto difference = [&](DType dtype, bool exact) {
        const auto device = Device::open("cpu", {1 + index % 3, exact, dtype});
        return relative_difference(run_graph(device, test.graph, test.batch, test.inputs, family.fused), expected);
      };
      ASSERT_LT(difference(DType::kFloat32, false), 5e-5) << isa << ", case " << index;
      ASSERT_LT(difference(DType::kFloat32, true), 2e-5) << isa << ", case " << index;
      if (has_bf16(isa)) {
        ASSERT_LT(difference(DType::kBFloat16, false), 3e-2) << isa << ", case " << index;
      }
    }
  }
}

void expect_independence(MakeCase make) {
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    for (int index = 0; index < 12; ++index) {
      RandomValues random(static_cast<std::uint32_t>(index));
      Case test = make(random, index);
      test.batch = 3;
      const std::size_t image = test.graph.values[0].elements();
      test.inputs.image = random.normals(3 * image);
      GraphInputs second;
      second.image.assign(test.inputs.image.begin() + static_cast<std::ptrdiff_t>(image),
                          test.inputs.image.begin() + static_cast<std::ptrdiff_t>(2 * image));
      for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
        if (dtype == DType::kBFloat16 && !has_bf16(isa)) continue;
        const auto whole = run_graph(Device::open("cpu", {3, false, dtype}), test.graph, 3, test.inputs, true);
        const auto alone = run_graph(Device::open("cpu", {1, false, dtype}), test.graph, 1, second, true);
        const std::vector<float> part(whole.begin() + static_cast<std::ptrdiff_t>(alone.size()),
                                      whole.begin() + static_cast<std::ptrdiff_t>(2 * alone.size()));
        ASSERT_EQ(part, alone) << isa << ", case " << index << ", dtype " << static_cast<int>(dtype);
      }
    }
  }
}

}  // namespace dpm::test
