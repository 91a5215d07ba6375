// Test of opening a device.
#include "engine/device.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "devices/registry.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

TEST(OpenDevice, IsDescribedAsInTheList) {
  for (const DeviceInfo& info : list_devices()) {
    if (!info.usable) continue;
    const auto device = Device::open(info.name, {});
    EXPECT_EQ(device->name(), info.name);
    EXPECT_EQ(device->description(), info.description);
    EXPECT_NE(device->description(), "");
    EXPECT_STREQ(device->api().name, info.name.substr(0, info.name.find(':')).c_str());
    EXPECT_EQ(info.reason, "");
  }
}

TEST(OpenDevice, ClearsWhatIsAskedForAndNoMore) {
  for (const DeviceInfo& info : list_devices()) {
    if (!info.usable) continue;
    SCOPED_TRACE(info.name);
    const auto device = Device::open(info.name, {});
    const std::vector<float> ones(8, 1.0F);
    const auto buffer = device->allocate(ones.size() * sizeof(float));
    buffer->upload(0, ones.data(), buffer->bytes());
    buffer->clear(2 * sizeof(float), 3 * sizeof(float));
    std::vector<float> values(ones.size());
    buffer->download(0, values.data(), buffer->bytes());
    EXPECT_EQ(values, (std::vector<float>{1, 1, 0, 0, 0, 1, 1, 1}));
    EXPECT_EQ(code_of([&] { buffer->clear(4, buffer->bytes()); }), ErrorCode::kArgument);
    EXPECT_NO_THROW(buffer->clear(buffer->bytes(), 0));
  }
}

TEST(OpenDevice, ReducesWhatThereIs) {
  const auto device = Device::open("cpu", {1, false});
  const auto buffer = device->allocate(64);
  const dpm_view there = buffer->view(16);
  double result = 0;
  const auto refused = [&](std::uint32_t kind, const dpm_view& a, const dpm_view& b) {
    return code_of([&] { device->reduce({kind, 1, 16, a, b, &result}); }) == ErrorCode::kArgument;
  };
  for (const std::uint32_t kind : {DPM_REDUCE_SUM, DPM_REDUCE_SUM_SQUARES, DPM_REDUCE_DOT, DPM_REDUCE_MAX_ABS}) {
    EXPECT_TRUE(refused(kind, {}, there));
    EXPECT_NO_THROW(device->reduce({kind, 1, 16, there, there, &result}));
    if (kind == DPM_REDUCE_DOT) {
      EXPECT_TRUE(refused(kind, there, {}));
    } else {
      EXPECT_NO_THROW(device->reduce({kind, 1, 16, there, {}, &result}));
    }
  }
  EXPECT_TRUE(refused(DPM_REDUCE_MAX_ABS + 1, there, there));
}

TEST(OpenDevice, TakesWhatIsNoNumberForTheLargest) {
  for (const char* name : {"cpu", "reference"}) {
    const auto device = Device::open(name, {1, false});
    for (const std::size_t place : {0, 7, 15, 16}) {
      std::vector<float> values(16, -2);
      if (place < values.size()) values[place] = std::nanf("");
      const auto buffer = device->allocate(64);
      buffer->upload(0, values.data(), buffer->bytes());
      double result = 0;
      device->reduce({DPM_REDUCE_MAX_ABS, 1, 16, buffer->view(16), {}, &result});
      const bool is_right = place < values.size() ? std::isnan(result) : result == 2;
      EXPECT_TRUE(is_right) << name << ", place " << place << ": " << result;
    }
  }
}

}  // namespace
}  // namespace dpm::test
