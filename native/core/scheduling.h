// How the system shares processors between the engine's threads and the caller's.
#pragma once

namespace dpm {

/// Tells the system that this thread computes for long: of threads that are ready, those that run for a moment, such as
/// the caller's event loop, come first. Its share of the processors stays what it is. Linux 6.12 and later know such a
/// request; elsewhere nothing happens.
void yield_to_short_work();

}  // namespace dpm
