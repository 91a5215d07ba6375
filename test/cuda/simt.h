// CUDA's execution model on the CPU, for tests of kernels: every thread of a block is a fiber; barriers and warp
// shuffles switch between them. Warps run greedily, each until all its lanes wait: this is the most skewed legal order,
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
// One instance serves all blocks, because they run one at a time.
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

/// A stream, which runs its work when a caller waits for it, or keeps it while it is being captured (runtime.h).
struct CUstream_st;
using cudaStream_t = CUstream_st*;

inline dim3 threadIdx;
inline dim3 blockIdx;
inline dim3 blockDim;
inline dim3 gridDim;

namespace dpm::simt {

/// Sets the order in which blocks, warps and lanes run; 0 is the order of their numbers.
void set_seed(std::uint32_t seed);
/// Makes every `__syncthreads` do nothing: a test then shows that it would notice a missing one.
void ignore_barriers(bool ignore);

/// Runs `body` for every thread of every block once a caller waits for `stream` or for the graph that it is being
/// captured into. The wait throws std::runtime_error when some threads wait at a barrier that others do not reach.
void launch(cudaStream_t stream, dim3 grid, dim3 block, std::function<void()> body);

constexpr unsigned kLanes = 32;

void wait_for_block();
void wait_for_warp();
/// Maximum of bytes that a lane can show to its warp at once.
constexpr std::size_t kMostShown = 64;
/// Shows `bytes` bytes to the warp, once all lanes have called it; they are valid until the lane's second next call.
void publish(const void* data, std::size_t bytes);
/// Returns the data shown by lane `source` of the own warp, or by the own lane where there is no such lane.
const void* published(unsigned source);
/// Returns the running thread's lane in its warp.
unsigned lane();

/// The warp's values of an exchange, valid until the lane's second next exchange.
template <typename T>
class Shown {
 public:
  explicit Shown(const T& own) {
    static_assert(sizeof(T) <= kMostShown && std::is_trivially_copyable_v<T>);
    publish(&own, sizeof own);
  }
  /// Returns the value of lane `source`, or the own one where there is no such lane.
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
// Nothing to do: a block sees all writes of the blocks before it.
inline void __threadfence() {}

template <typename T>
T __shfl_xor_sync(unsigned /*mask*/, T value, unsigned lanes) {
  return dpm::simt::shuffle(value, dpm::simt::lane() ^ lanes);
}

// Plain arithmetic is atomic, because fibers switch at barriers only.
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
