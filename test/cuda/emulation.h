// How tests of kernels run them: on the emulation in three orders of threads, on a GPU as it pleases.
#pragma once

#include <cstdint>
#include <stdexcept>

#include "cuda/runtime/api.h"

namespace dpm::test {

/// Waits for the kernels that were launched, so that their results can be read; throws std::runtime_error if one
/// failed.
inline void synchronize() {
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

#if defined(DPM_CUDA_EMULATION)

#if defined(DPM_ALL_THREAD_ORDERS)
constexpr std::uint32_t kThreadOrders[] = {0, 1, 2};
constexpr bool kAllShapes = true;
#else
// scripts/soak runs all. This order is not that of the threads' numbers, by which a missing barrier might be got away
// with.
constexpr std::uint32_t kThreadOrders[] = {1};
constexpr bool kAllShapes = false;
#endif

/// Sets the emulation's thread order for as long as it lives.
class ThreadOrder {
 public:
  explicit ThreadOrder(std::uint32_t seed) { simt::set_seed(seed); }
  ~ThreadOrder() { simt::set_seed(0); }
  ThreadOrder(const ThreadOrder&) = delete;
  ThreadOrder& operator=(const ThreadOrder&) = delete;
};

/// A broken copy of every kernel: barriers do nothing.
class WithoutBarriers {
 public:
  WithoutBarriers() { simt::ignore_barriers(true); }
  ~WithoutBarriers() { simt::ignore_barriers(false); }
  WithoutBarriers(const WithoutBarriers&) = delete;
  WithoutBarriers& operator=(const WithoutBarriers&) = delete;
};

#else

constexpr std::uint32_t kThreadOrders[] = {0};
constexpr bool kAllShapes = true;

/// Nothing: a GPU orders its threads itself.
class ThreadOrder {
 public:
  explicit ThreadOrder(std::uint32_t /*seed*/) {}
};

#endif

/// How many of `all` random shapes a test of a kernel takes.
constexpr std::uint32_t kernel_shapes(std::uint32_t all) { return kAllShapes || all < 60 ? all : 60; }

}  // namespace dpm::test
