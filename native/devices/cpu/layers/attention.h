// The ways to compute attention.
#pragma once

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

std::unique_ptr<Layer> make_bf16_attention(const LayerFactory& factory, const dpm_node& node);

}  // namespace dpm::cpu
