// How tests of kernels run them: in three orders of threads.
#pragma once

#include <cstdint>

#include "simt.h"

namespace dpm::test {

#if defined(__SANITIZE_ADDRESS__)
// Fibers under the sanitizer take ten times as long.
constexpr std::uint32_t kThreadOrders[] = {1};
#else
constexpr std::uint32_t kThreadOrders[] = {0, 1, 2};
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

}  // namespace dpm::test
