#include "simt.h"

#include <algorithm>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

namespace dpm::simt {
namespace {

constexpr unsigned kWarp = 32;
constexpr std::size_t kStackBytes = std::size_t{256} << 10;

enum class State { kReady, kAtBlock, kAtWarp, kDone };

struct Fiber {
  ucontext_t context{};
  std::unique_ptr<char[]> stack;
  State state = State::kReady;
  dim3 index;
  std::uint64_t exchanged = 0;
};

struct Running {
  std::vector<Fiber> fibers;
  ucontext_t scheduler{};
  unsigned current = 0;
  unsigned threads = 0;
  const std::function<void()>* body = nullptr;
  std::uint32_t seed = 0;
  std::mt19937 random;
  bool without_barriers = false;
};
Running running;

void enter() {
  (*running.body)();
  running.fibers[running.current].state = State::kDone;
  swapcontext(&running.fibers[running.current].context, &running.scheduler);
}

void start(Fiber& fiber, dim3 index) {
  if (!fiber.stack) fiber.stack = std::make_unique<char[]>(kStackBytes);
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, enter, 0);
  fiber.state = State::kReady;
  fiber.index = index;
}

void resume(unsigned thread) {
  running.current = thread;
  threadIdx = running.fibers[thread].index;
  swapcontext(&running.scheduler, &running.fibers[thread].context);
}

void pause(State state) {
  Fiber& fiber = running.fibers[running.current];
  fiber.state = state;
  swapcontext(&fiber.context, &running.scheduler);
}

/// Lets threads [first, last) go on if all that are left of them wait in `state`.
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

/// Runs a warp until none of its lanes can go on. Whether any of them ran.
bool run_warp(unsigned warp) {
  const unsigned first = warp * kWarp;
  const unsigned last = std::min(running.threads, first + kWarp);
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
  std::vector<unsigned> warps((running.threads + kWarp - 1) / kWarp);
  for (unsigned i = 0; i < warps.size(); ++i) warps[i] = i;
  const auto done = [](const Fiber& fiber) { return fiber.state == State::kDone; };
  const auto last = running.fibers.begin() + running.threads;
  while (!std::all_of(running.fibers.begin(), last, done)) {
    if (running.seed != 0) std::shuffle(warps.begin(), warps.end(), running.random);
    bool ran = false;
    for (const unsigned warp : warps) ran = run_warp(warp) || ran;
    if (!release(0, running.threads, State::kAtBlock) && !ran) {
      throw std::runtime_error("some threads of a block wait at a barrier that the others do not reach");
    }
  }
}

}  // namespace

void set_seed(std::uint32_t seed) { running.seed = seed; }
void ignore_barriers(bool ignore) { running.without_barriers = ignore; }

void launch(dim3 grid, dim3 block, const std::function<void()>& body) {
  gridDim = grid;
  blockDim = block;
  running.threads = block.x * block.y * block.z;
  running.body = &body;
  running.random.seed(running.seed);
  if (running.fibers.size() < running.threads) running.fibers.resize(running.threads);
  for (unsigned b = 0; b < grid.x * grid.y * grid.z; ++b) {
    blockIdx = dim3(b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y);
    for (unsigned t = 0; t < running.threads; ++t) {
      start(running.fibers[t], dim3(t % block.x, t / block.x % block.y, t / block.x / block.y));
    }
    run_block();
  }
}

void wait_for_block() {
  if (!running.without_barriers) pause(State::kAtBlock);
}

void wait_for_warp() { pause(State::kAtWarp); }

unsigned lane() { return running.current % kWarp; }

std::uint64_t exchange(std::uint64_t bits, unsigned source) {
  const unsigned self = running.current;
  running.fibers[self].exchanged = bits;
  wait_for_warp();
  const unsigned other = self / kWarp * kWarp + source;
  const std::uint64_t received = other < running.threads ? running.fibers[other].exchanged : bits;
  wait_for_warp();
  return received;
}

}  // namespace dpm::simt
