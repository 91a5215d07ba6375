// Counts of the process's allocations with operator new.
#pragma once

#include <cstdint>

namespace dpm::test {

/// Returns the calls of operator new so far, by all threads.
std::uint64_t allocations();

}  // namespace dpm::test
