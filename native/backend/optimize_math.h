// The arithmetic of a step of the optimiser (dpm_optimize), element by element, shared by devices.
#pragma once

#include "backend/backend.h"
#include "core/host_device.h"

namespace dpm::optimize {

/// The numbers of one parameter.
struct Element {
  float parameter;
  float gradient;
  float first_moment;
  float second_moment;
  float average;
};

DPM_HOST_DEVICE Element step(const dpm_optimize& how, Element of) {
  const float g = how.gradient_scale * of.gradient;
  Element next;
  next.first_moment = of.first_moment + how.first_rate * (g - of.first_moment);
  next.second_moment = how.second_kept * of.second_moment + how.second_rate * (g * g);
  const float root = how.root_scale * __builtin_sqrtf(next.second_moment) + how.epsilon;
  next.parameter = how.kept * of.parameter - how.step * (next.first_moment / root);
  next.average = of.average + how.average_rate * (next.parameter - of.average);
  next.gradient = 0.0F;
  return next;
}

}  // namespace dpm::optimize
