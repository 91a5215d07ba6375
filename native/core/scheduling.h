// The share of the processors that engines take.
#pragma once

namespace dpm {

/// The niceness of computing threads above the process's own: $DPM_NICE, 0 where it is unset. Throws Error(kArgument)
/// when that is no number from 0 to 19.
int niceness_of_engines();

}  // namespace dpm
