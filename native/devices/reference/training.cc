// Steps of the optimiser and weights that move, from their definitions in backend.h.
#include <cmath>

#include "devices/reference/network.h"

namespace dpm::reference {
namespace {

/// Reads a constant with a place among `parameters` again.
void read_again(const dpm_constant& constant, const float* parameters, std::vector<double>& elements) {
  if (constant.parameter.kind == DPM_PARAMETER_NONE) return;
  const float* from = parameters + constant.parameter.offset;
  if (constant.parameter.kind == DPM_PARAMETER_PLAIN) {
    for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<double>(from[i]);
    return;
  }
  const auto outputs = static_cast<std::size_t>(constant.dims[0]);
  const auto inputs = static_cast<std::size_t>(constant.dims[1]);
  const std::size_t taps = elements.size() / outputs / inputs;
  for (std::size_t o = 0; o < outputs; ++o) {
    for (std::size_t i = 0; i < inputs; ++i) {
      for (std::size_t tap = 0; tap < taps; ++tap) {
        elements[(o * inputs + i) * taps + tap] = static_cast<double>(from[(i * outputs + o) * taps + taps - 1 - tap]);
      }
    }
  }
}

}  // namespace

void optimize(const dpm_optimize& how) {
  float* parameters = row(how.parameters, 0);
  float* gradients = row(how.gradients, 0);
  float* first_moments = row(how.first_moments, 0);
  float* second_moments = row(how.second_moments, 0);
  float* averages = row(how.average, 0);
  for (std::uint64_t i = 0; i < how.elements; ++i) {
    const double g = static_cast<double>(how.gradient_scale) * static_cast<double>(gradients[i]);
    double m = static_cast<double>(first_moments[i]);
    m += static_cast<double>(how.first_rate) * (g - m);
    const double v = static_cast<double>(how.second_kept) * static_cast<double>(second_moments[i]) +
                     static_cast<double>(how.second_rate) * g * g;
    const double p = static_cast<double>(how.kept) * static_cast<double>(parameters[i]) -
                     static_cast<double>(how.step) * m /
                         (static_cast<double>(how.root_scale) * std::sqrt(v) + static_cast<double>(how.epsilon));
    const double average = static_cast<double>(averages[i]);
    gradients[i] = 0;
    first_moments[i] = static_cast<float>(m);
    second_moments[i] = static_cast<float>(v);
    parameters[i] = static_cast<float>(p);
    averages[i] = static_cast<float>(average + static_cast<double>(how.average_rate) * (p - average));
  }
}

void repack(Network& network, const dpm_repack& repack) {
  const float* parameters = row(repack.parameters, 0);
  for (Network::Node& node : network.nodes) {
    read_again(node.weight_constant, parameters, node.weight);
    read_again(node.second_weight_constant, parameters, node.second_weight);
    read_again(node.bias_constant, parameters, node.bias);
  }
}

}  // namespace dpm::reference
