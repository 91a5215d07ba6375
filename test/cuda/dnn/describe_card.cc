// A program that prints a GPU, the versions of its software and cuDNN's own description of it, as one object of JSON.
// With that description cuDNN plans for the GPU on machines without it (device_free_test.cc).
//
//   dpm_describe_card [INDEX, default 0]
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "cuda/dnn/descriptor.h"
#include "cuda/dnn/library.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// Returns the description without the terminating zero, which is part of the size.
std::string description_of(const CudnnLibrary& library, int index) {
  Descriptor device(library, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device description");
  const auto id = static_cast<std::int32_t>(index);
  device.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &id);
  device.finalize();
  // The buffer is longer than any description, because not every version reports the length before it is read.
  std::string json(std::size_t{64} << 10, '\0');
  device.get(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<std::int64_t>(json.size()),
             json.data());
  return json.substr(0, json.find('\0'));
}

void describe(int index) {
  int cards = 0;
  const cudaError_t error = cudaGetDeviceCount(&cards);
  if (error != cudaSuccess || index < 0 || index >= cards) {
    throw Error(ErrorCode::kDevice, std::string("no CUDA device (") + cudaGetErrorString(error) + ")");
  }
  check_cuda(cudaSetDevice(index), "choosing the card");
  int driver = 0;
  int runtime = 0;
  check_cuda(cudaDriverGetVersion(&driver), "asking for the driver's version");
  check_cuda(cudaRuntimeGetVersion(&runtime), "asking for the runtime's version");
  std::string reason;
  const CudnnLibrary* library = find_cudnn(&reason);
  if (library == nullptr) throw Error(ErrorCode::kDevice, "no cuDNN\n" + reason);
  std::printf("{\"cudaDriver\":%d,\"cudaRuntime\":%d,\"cudnn\":%zu,\"card\":%s}\n", driver, runtime, library->version,
              description_of(*library, index).c_str());
}

}  // namespace
}  // namespace dpm::cuda

int main(int count, char** arguments) {
  try {
    dpm::cuda::describe(count > 1 ? std::atoi(arguments[1]) : 0);
  } catch (const dpm::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
