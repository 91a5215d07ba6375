#include "platform/memory.h"

#include <cstdlib>

namespace dpm::platform {

void* allocate_aligned(std::size_t alignment, std::size_t bytes) noexcept {
  // NOLINTNEXTLINE(cppcoreguidelines-owning-memory): AlignedBuffer owns it.
  return std::aligned_alloc(alignment, bytes);
}

// NOLINTNEXTLINE(cppcoreguidelines-owning-memory): this is the owner's deleter.
void free_aligned(void* memory) noexcept { std::free(memory); }

}  // namespace dpm::platform
