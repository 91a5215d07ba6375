// Test of the table of operations on the reference device and on every instruction set of the CPU.
// test/cuda/operations_test.cc runs it on a GPU.
#include "operations/operations.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "graph/operation.h"
#include "operation_checks.h"

namespace dpm::test {
namespace {

using OperationOnDevice = std::tuple<Operation, CheckedDevice>;

std::vector<CheckedDevice> cpu_devices() {
  std::vector<CheckedDevice> devices;
  for (const std::string& isa : usable_isas()) devices.push_back({"cpu", isa});
  return devices;
}

std::vector<CheckedDevice> host_devices() {
  std::vector<CheckedDevice> devices = cpu_devices();
  devices.push_back({"reference"});
  return devices;
}

std::string name_of(const testing::TestParamInfo<OperationOnDevice>& info) {
  const auto& [operation, device] = info.param;
  return std::string(operation.name) + "_" + (device.isa.empty() ? device.name : device.isa);
}

class Operations : public testing::TestWithParam<OperationOnDevice> {};

TEST_P(Operations, AgreeWithTheReference) { check_values(std::get<0>(GetParam()), std::get<1>(GetParam())); }

TEST_P(Operations, HaveDerivatives) { check_derivatives(std::get<0>(GetParam()), std::get<1>(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Table, Operations,
                         testing::Combine(testing::ValuesIn(operations()), testing::ValuesIn(host_devices())), name_of);

class CpuOperations : public testing::TestWithParam<OperationOnDevice> {};

TEST_P(CpuOperations, DoNotDependOnBatchAndThreads) {
  check_independence(std::get<0>(GetParam()), std::get<1>(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Table, CpuOperations,
                         testing::Combine(testing::ValuesIn(operations()), testing::ValuesIn(cpu_devices())), name_of);

TEST(OperationTable, HasEveryOperation) {
  std::set<dpm_op> covered;
  for (const Operation& operation : operations()) {
    for (const CaseFamily& family : operation.families) {
      for (int index = 0; index < family.cases; ++index) {
        const Case made = make_case(family, index);
        for (const graph::Node& node : made.graph.nodes) covered.insert(node.op);
      }
    }
  }
  for (int op = 0; op < static_cast<int>(DPM_OP_COUNT); ++op) {
    EXPECT_EQ(covered.count(static_cast<dpm_op>(op)), 1U)
        << graph::operation_of(static_cast<dpm_op>(op)).name << " is in no case of test/native/operations";
  }
}

TEST(OperationTable, HasALargeCaseOfEveryOperation) {
  for (const Operation& operation : operations()) {
    int large = 0;
    for (const CaseFamily& family : operation.families) large += family.is_for_speed ? 1 : 0;
    EXPECT_GT(large, 0) << operation.name;
  }
}

}  // namespace
}  // namespace dpm::test
