// The CPU device behind the seam of backend.h.
#pragma once

#include "backend/backend.h"

namespace dpm::cpu {

const dpm_backend& backend();

}  // namespace dpm::cpu
