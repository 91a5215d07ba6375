// Parts of bfloat16 products that need instructions of their own.
#pragma once

#include "cpu/isa/kernels.h"

namespace dpm::cpu {

void amx_begin();
void amx_end();
void amx_tile(const Bf16Tile& tile);

void avx512_bf16_tile(const Bf16Tile& tile);
void avx512_bf16_operand(const Bf16Operand& operand);

}  // namespace dpm::cpu
