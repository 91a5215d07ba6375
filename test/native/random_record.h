// Records with every mode and random coefficients, a third of them zero.
#pragma once

#include <cmath>
#include <limits>

#include "graph_runner.h"

namespace dpm::test {

inline dpm_record random_record(RandomValues& random, bool guided = false) {
  const auto number = [&] { return random.normals(1)[0]; };
  const auto sometimes = [&] { return random.between(0, 2) == 0 ? 0.0F : number(); };
  dpm_record record{};
  record.flags = static_cast<std::uint32_t>(random.between(0, 63));
  record.slot = static_cast<std::uint32_t>(random.between(0, DPM_MAX_HISTORY - 1));
  record.clip = static_cast<std::uint32_t>(random.between(0, 2));
  record.variance = static_cast<std::uint32_t>(random.between(0, 3));
  record.x0_in = number();
  record.x0_out = number();
  record.clip_low = record.clip == DPM_CLIP_DYNAMIC ? 0.05F * static_cast<float>(random.between(0, 20)) : -1.0F;
  record.clip_high = 1.0F;
  // The ceiling binds in some records, and is below the lowest threshold in others.
  const float ceilings[] = {0.7F, 1.5F, std::numeric_limits<float>::infinity()};
  record.clip_ceiling = ceilings[random.between(0, 2)];
  record.history_in = sometimes();
  record.history_x0 = number();
  record.x_x = sometimes();
  record.x_y = sometimes();
  record.x_out = sometimes();
  record.y_x = sometimes();
  record.y_y = sometimes();
  record.y_out = sometimes();
  for (int j = 0; j < DPM_MAX_HISTORY; ++j) {
    record.x_history[j] = sometimes();
    record.y_history[j] = sometimes();
  }
  record.deviation = std::abs(number());
  record.v0 = number();
  record.v1 = sometimes();
  record.v2 = sometimes();
  record.eps_in = sometimes();
  record.eps_out = number();
  record.low = 0.01F;
  record.high = 4.0F;
  if (!guided) return record;
  record.history_guide = sometimes();
  record.x_guide = sometimes();
  record.x_guide_variance = sometimes();
  record.y_guide = sometimes();
  return record;
}

}  // namespace dpm::test
