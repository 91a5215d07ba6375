// How the system shares processors between the engine's threads and the caller's.
#pragma once

namespace dpm {

/// How much nicer than the process itself threads are that compute: $DPM_NICE, 0 where it is unset. Throws
/// Error(kArgument) when that is no number from 0 to 19.
int niceness_of_engines();

/// Tells the system that this thread computes for long: of threads that are ready, those that run for a moment, such as
/// the caller's event loop, come first. Its share of the processors stays what it is, unless `niceness`, that of
/// engines, lessens it. Linux knows of both (of the first from 6.12 on); elsewhere nothing happens.
void yield_to_short_work(int niceness);

}  // namespace dpm
