// Transposition of matrices by square blocks in registers.
#include "devices/cpu/isa/functions.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {
namespace {

template <int Size>
struct VectorOf {
  using Type __attribute__((vector_size(Size * sizeof(float)))) = float;
};
template <int Size>
using Lanes = typename VectorOf<Size>::Type;

/// The sequence 0, 1, ..., Count - 1.
template <int... Numbers>
struct Sequence {};
template <int Count, int... Rest>
struct UpTo : UpTo<Count - 1, Count - 1, Rest...> {};
template <int... Numbers>
struct UpTo<0, Numbers...> {
  using Type = Sequence<Numbers...>;
};

/// Exchanges, in two rows that are `Half` apart, the upper halves of a's runs of 2 Half lanes with the lower ones of
/// b's.
template <int Size, int Half, int... Lane>
inline __attribute__((always_inline)) void exchange(Lanes<Size>& a, Lanes<Size>& b, Sequence<Lane...> /*lanes*/) {
  const Lanes<Size> low = __builtin_shufflevector(a, b, ((Lane & Half) == 0 ? Lane : Size + Lane - Half)...);
  b = __builtin_shufflevector(a, b, ((Lane & Half) == 0 ? Lane + Half : Size + Lane)...);
  a = low;
}

template <int Size, int Half>
inline __attribute__((always_inline)) void exchange_halves(Lanes<Size>* rows) {
#pragma GCC unroll 16
  for (int row = 0; row < Size; ++row) {
    if ((row & Half) == 0) exchange<Size, Half>(rows[row], rows[row + Half], typename UpTo<Size>::Type{});
  }
  if constexpr (Half > 1) exchange_halves<Size, Half / 2>(rows);
}

template <int Size>
void transpose_block(const float* from, std::ptrdiff_t from_stride, float* to, std::ptrdiff_t to_stride) {
  Lanes<Size> rows[Size];
#pragma GCC unroll 16
  for (int row = 0; row < Size; ++row) __builtin_memcpy(&rows[row], from + row * from_stride, sizeof rows[row]);
  exchange_halves<Size, Size / 2>(rows);
#pragma GCC unroll 16
  for (int row = 0; row < Size; ++row) __builtin_memcpy(to + row * to_stride, &rows[row], sizeof rows[row]);
}

/// Transposes by blocks of `Size`, the last of which overlap those before them, or by smaller ones.
template <int Size>
void transpose_by(const float* from, std::ptrdiff_t from_stride, int rows, int columns, float* to,
                  std::ptrdiff_t to_stride) {
  if (rows < Size || columns < Size) {
    if constexpr (Size > 4) {
      transpose_by<Size / 2>(from, from_stride, rows, columns, to, to_stride);
    } else {
      for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; ++column) {
          to[column * to_stride + row] = from[row * from_stride + column];
        }
      }
    }
    return;
  }
  for (int r = 0; r < rows; r += Size) {
    const int row = r + Size <= rows ? r : rows - Size;
    for (int c = 0; c < columns; c += Size) {
      const int column = c + Size <= columns ? c : columns - Size;
      transpose_block<Size>(from + row * from_stride + column, from_stride, to + column * to_stride + row, to_stride);
    }
  }
}

}  // namespace

void transpose(const float* from, std::ptrdiff_t from_stride, int rows, int columns, float* to,
               std::ptrdiff_t to_stride) {
  transpose_by<kWidth>(from, from_stride, rows, columns, to, to_stride);
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
