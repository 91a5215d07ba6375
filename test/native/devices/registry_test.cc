// Test of the list of devices, and of the registry with tables that were compiled from another header.
#include "devices/registry.h"

#include <gtest/gtest.h>

#include <string>

#include "backend/table.h"
#include "core/error.h"
#include "devices/plugin.h"
#include "graph_runner.h"

extern "C" const dpm_backend* dpm_table_in_c(void) noexcept;

namespace dpm::test {
namespace {

TEST(Registry, KnowsItsDevicesAndSaysWhyNot) {
  const auto devices = list_devices();
  ASSERT_EQ(devices.size(), 3u);
  EXPECT_EQ(devices[2].name, "cuda:0");
  EXPECT_TRUE(devices[0].usable);
  EXPECT_TRUE(devices[1].usable) << devices[1].reason;
  EXPECT_GT(devices[0].score, devices[1].score);
  EXPECT_EQ(code_of([] { find_device("abacus"); }), ErrorCode::kDevice);
  EXPECT_EQ(code_of([] { find_device("cpu:1"); }), ErrorCode::kDevice);
  EXPECT_EQ(code_of([] { find_device("cpu:x"); }), ErrorCode::kDevice);
  EXPECT_EQ(code_of([] { find_device("cpu:"); }), ErrorCode::kDevice);
}

TEST(Registry, TakesATableThatACCompilerFilled) {
  const dpm_backend& table = *dpm_table_in_c();
  EXPECT_EQ(mismatch_of(table), "");
  EXPECT_EQ(table.device.probe(0, nullptr, nullptr), 1);
  // Optional entries are absent.
  EXPECT_EQ(table.network.begin, nullptr);
}

TEST(Registry, RefusesAnotherVersionBeforeAnythingElse) {
  dpm_backend table = *dpm_table_in_c();
  table.abi_version = DPM_BACKEND_ABI - 1;
  table.struct_size = 1;
  const std::string ours = std::to_string(DPM_BACKEND_ABI);
  EXPECT_EQ(mismatch_of(table), "has interface version " + std::to_string(DPM_BACKEND_ABI - 1) + ", expected " + ours);
}

TEST(Registry, RefusesTablesOfAnotherSize) {
  dpm_backend table = *dpm_table_in_c();
  table.struct_size -= 8;
  EXPECT_EQ(mismatch_of(table).substr(0, 26), "has a dpm_backend of size ");
}

TEST(Registry, RefusesStructsOfOtherSizes) {
  dpm_backend table = *dpm_table_in_c();
  const std::uint32_t ours = table.struct_sizes;
  table.struct_sizes += 4;
  EXPECT_EQ(mismatch_of(table),
            "has structs of " + std::to_string(ours + 4) + ", expected " + std::to_string(ours) + " bytes");
}

}  // namespace
}  // namespace dpm::test
