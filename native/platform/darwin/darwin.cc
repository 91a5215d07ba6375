#include <pthread/qos.h>

#include <algorithm>
#include <thread>

#include "platform/library.h"
#include "platform/memory.h"
#include "platform/posix/file_times.h"
#include "platform/processor.h"
#include "platform/threads.h"

namespace dpm::platform {

/// Nothing to advise: the system decides itself whether it uses large pages.
void advise_huge_pages(void* /*memory*/, std::size_t /*bytes*/) noexcept {}

timespec time_of_change(const struct stat& status) noexcept { return status.st_mtimespec; }

const char* cuda_driver() { return nullptr; }

int available_processors() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

void yield_to_short_work(int niceness) {
  if (niceness > 0) pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0);
}

bool may_use_tiles() { return false; }

bool keeps_avx512_from_first_use() { return true; }

}  // namespace dpm::platform
