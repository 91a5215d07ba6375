// The ways to compute attention.
#pragma once

#include <algorithm>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

/// Packs `tokens` tokens as columns of a panel, [channels][panel], with zeros in the place of missing ones.
inline void pack_token_panel(const IsaKernels& isa, const float* source, std::ptrdiff_t stride, int tokens,
                             int channels, float* out) {
  const int panel = 2 * isa.width;
  isa.transpose(source, stride, tokens, channels, out, panel);
  for (int c = 0; c < channels; ++c, out += panel) std::fill(out + tokens, out + panel, 0.0F);
}

/// Packs `channels` channels as columns of a panel, [tokens][panel], with zeros in the place of missing ones.
inline void pack_channel_panel(const IsaKernels& isa, const float* source, std::ptrdiff_t stride, int tokens,
                               int channels, float* out) {
  const int panel = 2 * isa.width;
  for (int token = 0; token < tokens; ++token, out += panel) {
    std::copy_n(source + token * stride, channels, out);
    std::fill(out + channels, out + panel, 0.0F);
  }
}

std::unique_ptr<Layer> make_bf16_attention(const LayerFactory& factory, const dpm_node& node);

}  // namespace dpm::cpu
