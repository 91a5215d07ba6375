// Which view an external value is bound to.
#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace dpm {

inline const dpm_view& binding_of(const dpm_bindings& bindings, std::uint32_t role) {
  switch (role) {
    case DPM_ROLE_IMAGE:
      return bindings.image;
    case DPM_ROLE_TIME:
      return bindings.time;
    case DPM_ROLE_LABEL:
      return bindings.labels;
    case DPM_ROLE_HEAD:
      return bindings.head;
    default:
      return bindings.out;
  }
}

}  // namespace dpm
