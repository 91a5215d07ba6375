#include "platform/threads.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <thread>

namespace dpm::platform {
namespace {

constexpr int kNicest = 19;

/// The kernel's struct sched_attr, for which the C library has no header.
struct SchedulingAttributes {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime;
  std::uint64_t deadline;
  std::uint64_t period;
};

/// Distance of this thread's virtual deadline; the usual is 1 to 3 ms. The scheduler runs the thread with the earliest
/// deadline.
constexpr std::uint64_t kSliceNanoseconds = 20'000'000;

}  // namespace

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void yield_to_short_work(int niceness) {
  SchedulingAttributes attributes{};
  attributes.size = sizeof attributes;
  // The policy is left unchanged. A refused request has no effect and is not reported.
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  // A new thread inherits the niceness of its creator, which may be an engine's thread, so the process's niceness is
  // read from its main thread.
  const int own = getpriority(PRIO_PROCESS, static_cast<id_t>(getpid()));
  attributes.nice = std::max(attributes.nice, std::min(own + niceness, kNicest));
  attributes.runtime = kSliceNanoseconds;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace dpm::platform
