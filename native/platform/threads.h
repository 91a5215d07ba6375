// The sharing of processors by the system.
#pragma once

namespace dpm::platform {

/// Number of processors that this process may use, at least 1.
int available_processors();

/// Tells the system that this thread computes for long, so that ready threads which run for a moment, such as the
/// caller's event loop, come first. Its share of the processors is unchanged, unless `niceness`, from 0 to 19, lessens
/// it. Linux supports both (the first from 6.12 on); macOS and Windows have one lower class for any niceness above 0.
void yield_to_short_work(int niceness);

}  // namespace dpm::platform
