// Choice of the instruction set at run time.
#pragma once

#include "devices/cpu/isa/kernels.h"

namespace dpm::cpu {

/// Returns the best instruction set of this processor, or the one that the environment variable DPM_CPU_ISA names.
/// Throws Error(kArgument) when that one is unknown or not available here.
const IsaKernels& select_isa();

/// Lists the instruction sets in this library that this processor runs, best first.
const char* available_isas();

}  // namespace dpm::cpu
