#include "devices/cpu/thread_share.h"

#include <algorithm>
#include <climits>
#include <mutex>

#include "core/environment_number.h"
#include "platform/threads.h"

namespace dpm::cpu {
namespace {

// The number of threads taken is the only state that all devices of a process share, so it has its own lock.
std::mutex mutex;
int taken = 0;

int take(int wanted) {
  // The limit holds for all devices together.
  const int most = environment_number("DPM_THREADS", 1, 1024).value_or(INT_MAX);
  const std::lock_guard<std::mutex> lock(mutex);
  const int count = std::min(wanted > 0 ? wanted : platform::available_processors(), std::max(1, most - taken));
  taken += count;
  return count;
}

}  // namespace

ThreadShare::ThreadShare(int wanted) : count_(take(wanted)) {}

ThreadShare::~ThreadShare() {
  const std::lock_guard<std::mutex> lock(mutex);
  taken -= count_;
}

}  // namespace dpm::cpu
