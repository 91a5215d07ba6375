// Aligned memory of the system.
#pragma once

#include <cstddef>

namespace dpm::platform {

/// Uninitialised memory of `bytes`, a multiple of `alignment`, which is a power of two; null where there is none.
/// `free_aligned` gives it back.
void* allocate_aligned(std::size_t alignment, std::size_t bytes) noexcept;
void free_aligned(void* memory) noexcept;

/// Asks for huge pages. Advice: where it is not taken, nothing changes.
void advise_huge_pages(void* memory, std::size_t bytes) noexcept;

}  // namespace dpm::platform
