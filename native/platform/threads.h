// How the system shares processors.
#pragma once

namespace dpm::platform {

/// Processors that this process may use, at least 1.
int available_processors();

/// Tells the system that this thread computes for long: of threads that are ready, those that run for a moment, such as
/// the caller's event loop, come first. Its share of the processors stays what it is, unless `niceness`, from 0 to 19,
/// lessens it. Linux knows of both (of the first from 6.12 on), macOS and Windows have one lower class for any niceness
/// above 0.
void yield_to_short_work(int niceness);

}  // namespace dpm::platform
