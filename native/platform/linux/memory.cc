#include "platform/memory.h"

#include <sys/mman.h>

namespace dpm::platform {

void advise_huge_pages(void* memory, std::size_t bytes) noexcept { madvise(memory, bytes, MADV_HUGEPAGE); }

}  // namespace dpm::platform
