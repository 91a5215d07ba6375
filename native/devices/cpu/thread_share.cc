#include "devices/cpu/thread_share.h"

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <mutex>
#include <string>

#include "core/error.h"
#include "core/thread_pool.h"

namespace dpm::cpu {
namespace {

// The one thing that all devices of a process have in common, and so its own.
std::mutex mutex;
int taken = 0;

/// Of all devices together.
int most_threads() {
  constexpr int kMost = 1024;
  const char* text = std::getenv("DPM_THREADS");
  if (text == nullptr || *text == '\0') return INT_MAX;
  const std::string given = text;
  int most = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), most);
  if (error != std::errc() || end != given.data() + given.size() || most < 1 || most > kMost) {
    throw Error(ErrorCode::kArgument, "DPM_THREADS is " + given + ", it has to be a number from 1 to 1024");
  }
  return most;
}

int take(int wanted) {
  const int most = most_threads();
  const std::lock_guard<std::mutex> lock(mutex);
  const int count = std::min(wanted > 0 ? wanted : available_processors(), std::max(1, most - taken));
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
