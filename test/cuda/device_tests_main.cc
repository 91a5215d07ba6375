// Main function of the tests of kernels and of the device on a GPU; without a GPU nothing is tested.
#include <gtest/gtest.h>

#include <cstdio>

#include "cuda/runtime/api.h"

int main(int count, char** arguments) {
  testing::InitGoogleTest(&count, arguments);
  int cards = 0;
  const cudaError_t error = cudaGetDeviceCount(&cards);
  if (error != cudaSuccess || cards == 0) {
    std::printf("skipped: no CUDA device (%s)\n", cudaGetErrorString(error));
    return 0;
  }
  return RUN_ALL_TESTS();
}
