// Test of cuDNN without a GPU: facts that the other tests rely on.
#include <gtest/gtest.h>

#include "core/error.h"
#include "cuda/dnn/descriptor.h"
#include "cuda/dnn/operations.h"
#include "real_cudnn.h"

namespace dpm::cuda {
namespace {

using DeviceFree = RealCudnn;

/// Returns whether a handle can be made; these tests then show nothing.
bool has_card(const CudnnLibrary& library) {
  cudnnHandle_t handle = nullptr;
  if (library.create(&handle) != CUDNN_STATUS_SUCCESS) return false;
  library.destroy(handle);
  return true;
}

TEST_F(DeviceFree, AHandleIsRefusedWithAStatus) {
  if (has_card(library())) GTEST_SKIP() << "there is a card";
  cudnnHandle_t handle = nullptr;
  EXPECT_EQ(library().create(&handle), CUDNN_STATUS_NOT_INITIALIZED);
  EXPECT_EQ(handle, nullptr);
}

TEST_F(DeviceFree, ThePresentCardCannotBeDescribed) {
  if (has_card(library())) GTEST_SKIP() << "there is a card";
  Descriptor device(library(), CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device description");
  const std::int32_t id = 0;
  device.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &id);
  EXPECT_THROW(device.finalize(), Error);
}

TEST_F(DeviceFree, AListOfAddressesNeedsNoCardAndNoWorkspace) {
  int memory = 0;
  const std::int64_t id = 1;
  const void* const address = &memory;
  EXPECT_NO_THROW(make_variant_pack(library(), std::span(&id, 1), std::span(&address, 1), nullptr));
}

TEST_F(DeviceFree, ACardIsDescribedByText) {
  EXPECT_NO_THROW(make_device(library(), card_json("h100")));
  EXPECT_THROW(make_device(library(), "{}"), Error);
  EXPECT_THROW(make_device(library(), "no description"), Error);
}

}  // namespace
}  // namespace dpm::cuda
