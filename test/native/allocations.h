// Counts what the process allocates with operator new.
#pragma once

#include <cstdint>

namespace dpm::test {

/// Calls of operator new so far, by all threads.
std::uint64_t allocations();

}  // namespace dpm::test
