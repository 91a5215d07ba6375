// Test of two builds of the plug-in, for CUDA 13 and for CUDA 12, with drivers of different versions.
#include <gtest/gtest.h>

#include "devices/plugin.h"
#include "emulated_plugin.h"
#include "scoped_environment.h"

namespace dpm::test {
namespace {

std::string newer() { return emulated_plugin(); }
std::string older() { return emulated_plugin("libdpm_cuda12_emulated.so"); }

Plugin with_driver(const char* version, const std::vector<std::string>& paths = {newer(), older()}) {
  const ScopedEnvironment driver("DPM_EMULATED_DRIVER", version);
  return open_for_driver(paths);
}

const dpm_backend* table_of(const std::string& path) { return open_plugin(path).backend; }

TEST(CudaPlugins, ANewDriverHasTheFirst) {
  ASSERT_NE(table_of(newer()), table_of(older()));
  for (const char* version : {"13000", "13010", "14000"}) {
    const Plugin plugin = with_driver(version);
    EXPECT_EQ(plugin.backend, table_of(newer())) << version;
    EXPECT_EQ(plugin.reason, "");
    EXPECT_EQ(plugin.passed_over, "");
  }
}

TEST(CudaPlugins, AnOlderDriverHasTheSecondAndIsToldWhy) {
  for (const char* version : {"12000", "12040", "12090"}) {
    const Plugin plugin = with_driver(version);
    EXPECT_EQ(plugin.backend, table_of(older())) << version;
    EXPECT_EQ(plugin.reason, "");
  }
  EXPECT_EQ(with_driver("12040").passed_over,
            "the NVIDIA driver is too old: it supports CUDA 12.4, CUDA 13 needs R580 or newer");
}

TEST(CudaPlugins, AVeryOldDriverHasNeither) {
  const Plugin plugin = with_driver("11040");
  EXPECT_EQ(plugin.backend, nullptr);
  EXPECT_EQ(plugin.reason, "the NVIDIA driver is too old: it supports CUDA 11.4, CUDA 12 needs R525 or newer");
}

TEST(CudaPlugins, OnlyAnOldDriverIsAReasonForTheSecond) {
  // Version 0 is no driver at all.
  EXPECT_EQ(with_driver("0").backend, table_of(newer()));
  const Plugin missing = with_driver("12040", {"/absent/libdpm_cuda.so", older()});
  EXPECT_EQ(missing.backend, nullptr);
  EXPECT_EQ(missing.reason.find("cannot open plug-in /absent/libdpm_cuda.so: "), 0U) << missing.reason;
}

TEST(CudaPlugins, WithoutTheSecondBothReasonsAreTold) {
  const Plugin plugin = with_driver("12040", {newer(), "/absent/libdpm_cuda12.so"});
  EXPECT_EQ(plugin.backend, nullptr);
  EXPECT_EQ(plugin.reason.find("the NVIDIA driver is too old: it supports CUDA 12.4, CUDA 13 needs R580 or newer; "
                               "cannot open plug-in /absent/libdpm_cuda12.so: "),
            0U)
      << plugin.reason;
}

TEST(CudaPlugins, ANumberedCardOfAnOldDriverIsNone) {
  const ScopedEnvironment driver("DPM_EMULATED_DRIVER", "11040");
  dpm_message description{};
  dpm_message reason{};
  EXPECT_EQ(table_of(older())->device.probe(0, &description, &reason), DPM_PROBE_OLD_DRIVER);
  EXPECT_EQ(table_of(older())->device.probe(1, &description, &reason), DPM_PROBE_NO_SUCH_DEVICE);
  EXPECT_NE(std::string(reason.text).find("R525 or newer"), std::string::npos) << reason.text;
}

}  // namespace
}  // namespace dpm::test
