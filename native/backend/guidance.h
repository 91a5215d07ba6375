// Classifier-free guidance (Ho & Salimans 2022): the mix of a sample's two predictions.
#pragma once

#include "backend/record.h"

namespace dpm {

/// Returns whether a sample takes two evaluations: weight 1 needs the conditional prediction only, weight 0 the
/// unconditional one only.
inline bool is_guided(float weight) { return weight != 1.0F && weight != 0.0F; }

/// Returns the record of a fused update that computes unconditional + w (conditional - unconditional): x is the
/// conditional prediction, out the unconditional one.
inline dpm_record guidance_record(float weight) {
  dpm_record record{};
  record.flags = DPM_RECORD_WRITE_X;
  record.x_x = weight;
  record.x_out = 1.0F - weight;
  return record;
}

}  // namespace dpm
