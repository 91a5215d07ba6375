// Kernels that both kinds of tiles share.
#pragma once

#include "devices/cpu/bf16/kernels.h"

namespace dpm::cpu {

void bf16_operand(const Bf16Operand& operand);
void bf16_pixel_columns(const Bf16Matrix& matrix);
void bf16_channel_columns(const Bf16Matrix& matrix);

}  // namespace dpm::cpu
