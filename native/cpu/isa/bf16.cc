// Products of bfloat16 operands: how floats become operands, and the tile for processors without instructions for it.
#include "core/scalar_math.h"
#include "cpu/isa/functions.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {
namespace {

constexpr int kGroup = 16;
constexpr int kPairs = kBf16Depth / 2;

/// The bits of the nearest bfloat16 number, ties to even, in the upper half; NaN stays NaN.
inline __attribute__((always_inline)) std::uint32_t round_to_bf16(float value) {
  const auto bits = static_cast<std::uint32_t>(math::float_bits(value));
  const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
  return (value == value ? rounded : bits | 0x400000U) & 0xFFFF0000U;
}

void convert_block(const float* values, int terms, std::uint16_t* out, std::ptrdiff_t term_stride) {
  std::uint32_t high[kBf16Depth];
  DPM_ELEMENTWISE
  for (int c = 0; c < kBf16Depth; ++c) high[c] = round_to_bf16(values[c]);
  DPM_ELEMENTWISE
  for (int c = 0; c < kBf16Depth; ++c) out[c] = static_cast<std::uint16_t>(high[c] >> 16);
  if (terms < 2) return;
  out += term_stride;
  DPM_ELEMENTWISE
  for (int c = 0; c < kBf16Depth; ++c) {
    const float rest = values[c] - math::bits_float(static_cast<std::int32_t>(high[c]));
    out[c] = static_cast<std::uint16_t>(round_to_bf16(rest) >> 16);
  }
}

/// x * a + b of a whole block, then SiLU where asked.
void normalise_block(const Bf16Operand& o, int first, const float* x, float* values) {
  const float* a = o.a + first;
  const float* b = o.b + first;
  if (o.silu) {
    DPM_ELEMENTWISE
    for (int c = 0; c < kBf16Depth; ++c) values[c] = math::silu(x[c] * a[c] + b[c]);
  } else {
    DPM_ELEMENTWISE
    for (int c = 0; c < kBf16Depth; ++c) values[c] = x[c] * a[c] + b[c];
  }
}

/// The channels from `first` on of one pixel where they are fewer than a block or not adjacent; the rest is zero.
void gather_block(const Bf16Operand& o, int first, const float* x, float* values) {
  if (o.channel_stride == 1 && o.channels - first >= kBf16Depth && o.a == nullptr) {
    for (int c = 0; c < kBf16Depth; c += kWidth) store(values + c, load(x + c));
    return;
  }
  for (int c = 0; c < kBf16Depth; ++c) {
    float value = 0.0F;
    if (first + c < o.channels) {
      value = x[c * o.channel_stride];
      if (o.a != nullptr) value = value * o.a[first + c] + o.b[first + c];
      if (o.a != nullptr && o.silu) value = math::silu(value);
    }
    values[c] = value;
  }
}

/// Two rows of 16 numbers each as pairs, in `terms` terms `term_stride` pairs apart.
void convert_pairs(const float* even, const float* odd, int terms, std::uint32_t* out, std::ptrdiff_t term_stride) {
  float rests[2][kGroup];
  DPM_ELEMENTWISE
  for (int c = 0; c < kGroup; ++c) {
    const std::uint32_t low = round_to_bf16(even[c]);
    const std::uint32_t high = round_to_bf16(odd[c]);
    out[c] = low >> 16 | high;
    rests[0][c] = even[c] - math::bits_float(static_cast<std::int32_t>(low));
    rests[1][c] = odd[c] - math::bits_float(static_cast<std::int32_t>(high));
  }
  if (terms == 2) convert_pairs(rests[0], rests[1], 1, out + term_stride, 0);
}

template <int Rows>
void multiply_rows(const Bf16Tile& t, int first, int group) {
  constexpr int kVectors = kGroup / kWidth;
  Vector sum[Rows][kVectors];
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < kVectors; ++v) sum[r][v] = Vector{};
  }
  const std::ptrdiff_t panel_step = 2 * kGroup * kBf16Depth;
  const std::uint16_t* panel = t.panel + static_cast<std::ptrdiff_t>(group) * kGroup * kBf16Depth;
  const std::uint16_t* weights_of_term[2] = {panel, panel + panel_step};
  for (int block = 0; block < t.blocks; ++block) {
    for (int tap = 0; tap < t.tap_count; ++tap) {
      const std::uint16_t* input = t.input + block * t.block_stride + t.taps[tap] + first * kBf16Depth;
      // high x high, high x low, low x high
      for (int product = 0; product < 2 * t.terms - 1; ++product) {
        const std::uint16_t* rows = input + (product == 2 ? t.term_stride : 0);
        const std::uint16_t* weights = weights_of_term[product == 1 ? 1 : 0];
        for (int pair = 0; pair < kPairs; ++pair, weights += 2 * kGroup) {
          Vector even[kVectors];
          Vector odd[kVectors];
          for (int v = 0; v < kVectors; ++v) {
            for (int lane = 0; lane < kWidth; ++lane) {
              std::uint32_t both = 0;
              __builtin_memcpy(&both, weights + 2 * (v * kWidth + lane), sizeof both);
              even[v][lane] = math::bits_float(static_cast<std::int32_t>(both << 16));
              odd[v][lane] = math::bits_float(static_cast<std::int32_t>(both & 0xFFFF0000U));
            }
          }
          for (int r = 0; r < Rows; ++r) {
            const std::uint16_t* values = rows + r * kBf16Depth + 2 * pair;
            const float low = math::bits_float(static_cast<std::int32_t>(std::uint32_t{values[0]} << 16));
            const float high = math::bits_float(static_cast<std::int32_t>(std::uint32_t{values[1]} << 16));
            for (int v = 0; v < kVectors; ++v) sum[r][v] += low * even[v] + high * odd[v];
          }
        }
      }
      weights_of_term[0] += t.terms * panel_step;
      weights_of_term[1] += t.terms * panel_step;
    }
  }
  for (int r = 0; r < Rows; ++r) {
    float* out = t.sums + (first + r) * t.sums_stride + group * kGroup;
    for (int v = 0; v < kVectors; ++v) store(out + v * kWidth, sum[r][v]);
  }
}

}  // namespace

void bf16_operand(const Bf16Operand& o) {
  for (int p = 0; p < o.pixels; ++p) {
    const float* x = o.x + p * o.pixel_stride;
    std::uint16_t* out = o.out + p * o.out_pixel_stride;
    for (int first = 0; first < o.channels; first += kBf16Depth, out += o.block_stride) {
      const float* from = x + first * o.channel_stride;
      float values[kBf16Depth];
      if (o.channel_stride != 1 || o.channels - first < kBf16Depth) {
        gather_block(o, first, from, values);
        convert_block(values, o.terms, out, o.term_stride);
      } else if (o.a != nullptr) {
        normalise_block(o, first, from, values);
        convert_block(values, o.terms, out, o.term_stride);
      } else {
        convert_block(from, o.terms, out, o.term_stride);
      }
    }
  }
}

void bf16_pixel_columns(const Bf16Matrix& m) {
  constexpr int kTile = kBf16Columns * kPairs;
  auto* out = reinterpret_cast<std::uint32_t*>(m.out);
  const Bf16Operand row{nullptr, 0, 1, 1, m.channels, nullptr, nullptr, false, m.terms, nullptr, 0, 0, 0};
  for (int first = 0; first < m.channels; first += kBf16Depth, out += m.terms * kTile) {
    for (int column = 0; column < kBf16Columns; ++column) {
      float values[kBf16Depth] = {};
      if (column < m.pixels) gather_block(row, first, m.x + column * m.pixel_stride + first, values);
      std::uint32_t pairs[2][kPairs];
      convert_block(values, m.terms, reinterpret_cast<std::uint16_t*>(pairs), kBf16Depth);
      std::uint32_t* to = out + column / kGroup * kGroup * kPairs + column % kGroup;
      for (int term = 0; term < m.terms; ++term) {
        for (int pair = 0; pair < kPairs; ++pair) to[term * kTile + pair * kGroup] = pairs[term][pair];
      }
    }
  }
}

void bf16_channel_columns(const Bf16Matrix& m) {
  constexpr int kTile = kBf16Columns * kPairs;
  auto* out = reinterpret_cast<std::uint32_t*>(m.out);
  const Bf16Operand row{nullptr, 0, 1, 1, m.channels, nullptr, nullptr, false, m.terms, nullptr, 0, 0, 0};
  for (int first = 0; first < m.pixels; first += kBf16Depth, out += m.terms * kTile) {
    for (int pair = 0; pair < kPairs; ++pair) {
      float values[2][kBf16Columns] = {};
      for (int i = 0; i < 2; ++i) {
        const int pixel = first + 2 * pair + i;
        if (pixel < m.pixels) gather_block(row, 0, m.x + pixel * m.pixel_stride, values[i]);
      }
      for (int group = 0; group < 2; ++group) {
        convert_pairs(values[0] + group * kGroup, values[1] + group * kGroup, m.terms,
                      out + (group * kPairs + pair) * kGroup, kTile);
      }
    }
  }
}

void bf16_tile(const Bf16Tile& t) {
  constexpr int kRows = 4;
  for (int group = 0; group < 2; ++group) {
    for (int first = 0; first < t.rows; first += kRows) multiply_rows<kRows>(t, first, group);
  }
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
