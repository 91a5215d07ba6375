// Steps of the optimiser.
#include "backend/optimize_math.h"
#include "devices/cpu/isa/functions.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {

void optimize(const OptimizeRange& range) {
  // A copy, which no store into the tensors can change.
  const dpm_optimize how = *range.how;
  float* parameters = range.parameters;
  float* gradients = range.gradients;
  float* first_moments = range.first_moments;
  float* second_moments = range.second_moments;
  float* averages = range.average;
  DPM_ELEMENTWISE
  for (int i = 0; i < range.count; ++i) {
    const dpm::optimize::Element next =
        dpm::optimize::step(how, {parameters[i], gradients[i], first_moments[i], second_moments[i], averages[i]});
    parameters[i] = next.parameter;
    gradients[i] = next.gradient;
    first_moments[i] = next.first_moment;
    second_moments[i] = next.second_moment;
    averages[i] = next.average;
  }
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
