#include "simt.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "fiber.h"
#include "runtime.h"

namespace dpm::simt {
namespace {

enum class State { kReady, kAtBlock, kAtWarp, kDone };

void enter();

struct Fiber {
  State state = State::kReady;
  dim3 index;
  /// Data that a lane shows to its warp, in turns, so that it may show the next while others still read this one.
  std::array<std::array<std::byte, kMostShown>, 2> shown;
  unsigned turn = 0;
  Stack stack{enter};
};

struct Running {
  std::vector<Fiber> fibers;
  Stack scheduler;
  unsigned current = 0;
  unsigned threads = 0;
  const std::function<void()>* body = nullptr;
  std::uint32_t seed = 0;
  std::mt19937 random;
  bool without_barriers = false;
};
Running running;

/// Runs the threads of a fiber, one after the other.
void enter() {
  for (;;) {
    (*running.body)();
    Fiber& fiber = running.fibers[running.current];
    fiber.state = State::kDone;
    running.scheduler.switch_from(fiber.stack);
  }
}

void start(Fiber& fiber, dim3 index) {
  fiber.state = State::kReady;
  fiber.index = index;
  fiber.turn = 0;
}

void resume(unsigned thread) {
  running.current = thread;
  threadIdx = running.fibers[thread].index;
  running.fibers[thread].stack.switch_from(running.scheduler);
}

void pause(State state) {
  Fiber& fiber = running.fibers[running.current];
  fiber.state = state;
  running.scheduler.switch_from(fiber.stack);
}

/// Releases threads [first, last) if all that are left of them wait in `state`.
bool release(unsigned first, unsigned last, State state) {
  const auto begin = running.fibers.begin() + first;
  const auto end = running.fibers.begin() + last;
  const auto waits = [&](const Fiber& fiber) { return fiber.state == state; };
  if (!std::all_of(begin, end, [&](const Fiber& fiber) { return waits(fiber) || fiber.state == State::kDone; })) {
    return false;
  }
  const bool any = std::any_of(begin, end, waits);
  for (auto fiber = begin; fiber != end; ++fiber) {
    if (waits(*fiber)) fiber->state = State::kReady;
  }
  return any;
}

/// Runs a warp until none of its lanes can continue. Returns whether any of them ran.
bool run_warp(unsigned warp) {
  const unsigned first = warp * kLanes;
  const unsigned last = std::min(running.threads, first + kLanes);
  const unsigned rotation = running.seed != 0 ? running.random() % (last - first) : 0;
  bool ran = false;
  do {
    for (unsigned k = 0; k < last - first; ++k) {
      const unsigned thread = first + (k + rotation) % (last - first);
      if (running.fibers[thread].state != State::kReady) continue;
      resume(thread);
      ran = true;
    }
  } while (release(first, last, State::kAtWarp));
  return ran;
}

void run_block() {
  std::vector<unsigned> warps((running.threads + kLanes - 1) / kLanes);
  for (unsigned i = 0; i < warps.size(); ++i) warps[i] = i;
  const auto done = [](const Fiber& fiber) { return fiber.state == State::kDone; };
  const auto last = running.fibers.begin() + running.threads;
  while (!std::all_of(running.fibers.begin(), last, done)) {
    if (running.seed != 0) std::shuffle(warps.begin(), warps.end(), running.random);
    bool ran = false;
    for (const unsigned warp : warps) ran = run_warp(warp) || ran;
    if (!release(0, running.threads, State::kAtBlock) && !ran) {
      // The waiting fibers are dropped, because they would continue in the next launch.
      running.fibers.clear();
      throw std::runtime_error("some threads of a block wait at a barrier that the others do not reach");
    }
  }
}

std::vector<unsigned> order_of_blocks(unsigned count) {
  std::vector<unsigned> blocks(count);
  std::iota(blocks.begin(), blocks.end(), 0U);
  if (running.seed != 0) std::shuffle(blocks.begin(), blocks.end(), running.random);
  return blocks;
}

void run_grid(dim3 grid, dim3 block, const std::function<void()>& body) {
  static std::mutex one_grid;
  const std::lock_guard<std::mutex> lock(one_grid);
  gridDim = grid;
  blockDim = block;
  running.threads = block.x * block.y * block.z;
  running.body = &body;
  running.random.seed(running.seed);
  if (running.fibers.size() < running.threads) running.fibers = std::vector<Fiber>(running.threads);
  for (const unsigned b : order_of_blocks(grid.x * grid.y * grid.z)) {
    blockIdx = dim3(b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y);
    for (unsigned t = 0; t < running.threads; ++t) {
      start(running.fibers[t], dim3(t % block.x, t / block.x % block.y, t / block.x / block.y));
    }
    run_block();
  }
}

}  // namespace

void set_seed(std::uint32_t seed) { running.seed = seed; }
void ignore_barriers(bool ignore) { running.without_barriers = ignore; }

void launch(cudaStream_t stream, dim3 grid, dim3 block, std::function<void()> body) {
  submit(stream, [grid, block, body = std::move(body)] { run_grid(grid, block, body); });
}

void wait_for_block() {
  if (!running.without_barriers) pause(State::kAtBlock);
}

void wait_for_warp() { pause(State::kAtWarp); }

unsigned lane() { return running.current % kLanes; }

void publish(const void* data, std::size_t bytes) {
  Fiber& fiber = running.fibers[running.current];
  fiber.turn ^= 1U;
  std::memcpy(fiber.shown[fiber.turn].data(), data, bytes);
  wait_for_warp();
}

const void* published(unsigned source) {
  const unsigned self = running.current;
  const unsigned other = self / kLanes * kLanes + source;
  return running.fibers[other < running.threads ? other : self].shown[running.fibers[self].turn].data();
}

}  // namespace dpm::simt
