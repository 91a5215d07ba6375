// CUDA's execution model on the CPU, for tests of kernels: every thread of a block is a fiber, barriers and warp
// shuffles switch between them. Warps run greedily, each until all its lanes wait: the most skewed order that is legal,
// so that a missing barrier shows as a wrong number. A seed shuffles warps and lanes. Blocks run one after the other,
// in an order that the seed shuffles too.
#pragma once

#include <ucontext.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
// Blocks run one at a time, so one instance serves them all.
#define __shared__ static

struct dim3 {
  unsigned x;
  unsigned y;
  unsigned z;
  constexpr dim3(unsigned width = 1, unsigned height = 1, unsigned depth = 1) : x(width), y(height), z(depth) {}
};

struct alignas(16) float4 {
  float x;
  float y;
  float z;
  float w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

/// A stream runs what it is given when somebody waits for it, or keeps it while it is being captured (runtime.h).
struct CUstream_st;
using cudaStream_t = CUstream_st*;

inline dim3 threadIdx;
inline dim3 blockIdx;
inline dim3 blockDim;
inline dim3 gridDim;

namespace dpm::simt {

/// Order in which blocks, warps and lanes run; 0 is their own.
void set_seed(std::uint32_t seed);
/// Makes every `__syncthreads` do nothing: with it a test shows that it would notice a missing one.
void ignore_barriers(bool ignore);

/// Runs `body` for every thread of every block once somebody waits for `stream` or the graph that it is being captured
/// into. Who waits gets a std::runtime_error when some threads wait at a barrier that others do not reach.
void launch(cudaStream_t stream, dim3 grid, dim3 block, std::function<void()> body);

constexpr unsigned kLanes = 32;

void wait_for_block();
void wait_for_warp();
/// Bytes that a lane can show to its warp at once.
constexpr std::size_t kMostShown = 64;
/// Shows `bytes` bytes to the warp, until the lane has shown something twice more, once all lanes have come here.
void publish(const void* data, std::size_t bytes);
/// What the lane `source` of the own warp shows, or what the own one does where there is no such lane.
const void* published(unsigned source);
/// Of the running thread, in its warp.
unsigned lane();

/// The warp's values of an exchange, until the lane's next but one.
template <typename T>
class Shown {
 public:
  explicit Shown(const T& own) {
    static_assert(sizeof(T) <= kMostShown && std::is_trivially_copyable_v<T>);
    publish(&own, sizeof own);
  }
  /// Of the lane `source`, or the own one where there is no such lane.
  T operator[](unsigned source) const {
    T value;
    std::memcpy(&value, published(source), sizeof value);
    return value;
  }
};

template <typename T>
T shuffle(T value, unsigned source) {
  return Shown<T>(value)[source];
}

}  // namespace dpm::simt

inline void __syncthreads() { dpm::simt::wait_for_block(); }
inline void __syncwarp(unsigned /*mask*/ = ~0u) { dpm::simt::wait_for_warp(); }
// A block sees all that those before it wrote.
inline void __threadfence() {}

template <typename T>
T __shfl_xor_sync(unsigned /*mask*/, T value, unsigned lanes) {
  return dpm::simt::shuffle(value, dpm::simt::lane() ^ lanes);
}

// Fibers switch at barriers only, so plain arithmetic is atomic.
template <typename T>
T atomicAdd(T* target, T value) {
  const T before = *target;
  *target = before + value;
  return before;
}
template <typename T>
T atomicMin(T* target, T value) {
  const T before = *target;
  *target = before < value ? before : value;
  return before;
}

using std::sqrt;
inline float rsqrtf(float x) { return 1.0F / std::sqrt(x); }
