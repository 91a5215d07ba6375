// A device as it is opened.
#include "engine/device.h"

#include <gtest/gtest.h>

#include "devices/registry.h"

namespace dpm::test {
namespace {

TEST(OpenDevice, IsDescribedAsInTheList) {
  for (const DeviceInfo& info : list_devices()) {
    if (!info.usable) continue;
    const auto device = Device::open(info.name, {});
    EXPECT_EQ(device->name(), info.name);
    EXPECT_EQ(device->description(), info.description);
    EXPECT_NE(device->description(), "");
    EXPECT_EQ(info.reason, "");
  }
}

}  // namespace
}  // namespace dpm::test
