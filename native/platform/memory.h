// Aligned memory of the system.
#pragma once

#include <cstddef>

namespace dpm::platform {

/// Returns uninitialised memory of `bytes`, a multiple of `alignment`, which is a power of two; null where there is
/// none. `free_aligned` frees it.
void* allocate_aligned(std::size_t alignment, std::size_t bytes) noexcept;
void free_aligned(void* memory) noexcept;

/// Advises the system to use huge pages; nothing changes where it does not.
void advise_huge_pages(void* memory, std::size_t bytes) noexcept;

}  // namespace dpm::platform
