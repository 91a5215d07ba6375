// Execution of kernels in tests: on the emulation in three orders of threads, on a GPU in its own order.
#pragma once

#include <cstdint>
#include <stdexcept>

#include "cuda/runtime/api.h"

namespace dpm::test {

/// Waits for the launched kernels, so that their results can be read; throws std::runtime_error if one failed.
inline void synchronize() {
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

#if defined(DPM_CUDA_EMULATION)

#if defined(DPM_ALL_THREAD_ORDERS)
constexpr std::uint32_t kThreadOrders[] = {0, 1, 2};
constexpr bool kAllShapes = true;
#else
// Orders of threads: scripts/soak runs all. This one differs from the threads' numbers, an order that could hide a
// missing barrier.
constexpr std::uint32_t kThreadOrders[] = {1};
constexpr bool kAllShapes = false;
#endif

/// Sets the emulation's thread order for its lifetime.
class ThreadOrder {
 public:
  explicit ThreadOrder(std::uint32_t seed) { simt::set_seed(seed); }
  ~ThreadOrder() { simt::set_seed(0); }
  ThreadOrder(const ThreadOrder&) = delete;
  ThreadOrder& operator=(const ThreadOrder&) = delete;
};

/// Makes a broken copy of every kernel: barriers do nothing.
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

/// An empty class: a GPU orders its threads itself.
class ThreadOrder {
 public:
  explicit ThreadOrder(std::uint32_t /*seed*/) {}
};

#endif

/// Returns the number of random shapes, of `all`, that a test of a kernel takes.
constexpr std::uint32_t kernel_shapes(std::uint32_t all) { return kAllShapes || all < 60 ? all : 60; }

}  // namespace dpm::test
