// What share of the processors engines take.
#pragma once

namespace dpm {

/// How much nicer than the process itself threads are that compute: $DPM_NICE, 0 where it is unset. Throws
/// Error(kArgument) when that is no number from 0 to 19.
int niceness_of_engines();

}  // namespace dpm
