#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "backend/constant.h"
#include "core/error.h"
#include "graph/lowered.h"
#include "graph/passes/derivatives.h"

namespace dpm::graph {
namespace {

/// Writes `weight` of `outputs` x `inputs` x `taps` transposed.
void write_transposed(const Constant& weight, std::size_t outputs, std::size_t inputs, std::size_t taps, float* to) {
  const dpm_constant lowered = lower(weight);
  const ConstantElements from(lowered);
  for (std::size_t o = 0; o < outputs; ++o) {
    for (std::size_t i = 0; i < inputs; ++i) {
      for (std::size_t tap = 0; tap < taps; ++tap) {
        to[(i * outputs + o) * taps + (taps - 1 - tap)] = from[(o * inputs + i) * taps + tap];
      }
    }
  }
}

}  // namespace

Constant transposed(const Constant& weight) {
  require(weight.dims.size() >= 2, "only weights of convolutions and products are transposed");
  Constant result;
  result.name = weight.name + " (transposed)";
  result.identity = weight.identity == 0 ? 0 : weight.identity + 1;
  result.parameter = weight.parameter;
  if (weight.moves()) {
    require(weight.parameter.kind == DPM_PARAMETER_PLAIN, "a weight that moves is transposed once");
    result.parameter.kind = DPM_PARAMETER_TRANSPOSED;
  }
  result.dims = weight.dims;
  std::swap(result.dims[0], result.dims[1]);
  const auto outputs = static_cast<std::size_t>(weight.dims[0]);
  const auto inputs = static_cast<std::size_t>(weight.dims[1]);
  const std::size_t all = static_cast<std::size_t>(weight.elements());
  const std::size_t taps = all == 0 ? 0 : all / outputs / inputs;
  result.bytes = all * sizeof(float);
  result.read = [weight, outputs, inputs, taps](void* to) {
    write_transposed(weight, outputs, inputs, taps, static_cast<float*>(to));
  };
  return result;
}

}  // namespace dpm::graph
