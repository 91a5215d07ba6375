#include "core/scheduling.h"

#if defined(__linux__)
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#endif

#include "core/environment_number.h"

namespace dpm {
namespace {

constexpr int kNicest = 19;

}  // namespace

int niceness_of_engines() { return environment_number("DPM_NICE", 0, kNicest).value_or(0); }

#if defined(__linux__) && defined(SYS_sched_setattr)
namespace {

/// struct sched_attr of the kernel, for which the C library has no header.
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

/// The scheduler runs whoever has the earliest virtual deadline, which lies this far ahead; the usual is 1 to 3 ms.
constexpr std::uint64_t kSliceNanoseconds = 20'000'000;

}  // namespace

void yield_to_short_work(int niceness) {
  SchedulingAttributes attributes{};
  attributes.size = sizeof attributes;
  // The policy stays what it is. A request that is refused changes nothing, and nobody needs to know.
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  // A thread begins as nice as the one that made it, which may be an engine's, too. The process is as nice as its main
  // thread.
  const int own = getpriority(PRIO_PROCESS, static_cast<id_t>(getpid()));
  attributes.nice = std::max(attributes.nice, std::min(own + niceness, kNicest));
  attributes.runtime = kSliceNanoseconds;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}
#else
void yield_to_short_work(int /*niceness*/) {}
#endif

}  // namespace dpm
