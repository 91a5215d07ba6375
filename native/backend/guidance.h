// Classifier-free guidance (Ho & Salimans 2022): what both predictions of a sample become.
#pragma once

#include "backend/record.h"

namespace dpm {

/// Whether a sample takes two evaluations: of weight 1 the conditional prediction is all there is, of weight 0 the
/// unconditional one.
inline bool is_guided(float weight) { return weight != 1.0F && weight != 0.0F; }

/// unconditional + w (conditional - unconditional), as the record of a fused update: x is the conditional prediction,
/// out the unconditional one.
inline dpm_record guidance_record(float weight) {
  dpm_record record{};
  record.flags = DPM_RECORD_WRITE_X;
  record.x_x = weight;
  record.x_out = 1.0F - weight;
  return record;
}

}  // namespace dpm
