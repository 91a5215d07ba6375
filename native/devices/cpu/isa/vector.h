// The vector type of the instruction set this file is compiled for.
#pragma once

namespace dpm::cpu {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
constexpr int kTileRows = 14;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
constexpr int kTileRows = 6;
#elif defined(__aarch64__)
constexpr int kWidth = 4;
constexpr int kTileRows = 12;
#else
constexpr int kWidth = 4;
constexpr int kTileRows = 4;
#endif

/// Independent sums that hide the latency of two multiply-add units.
constexpr int kIndependentSums = kWidth > 4 ? 12 : 8;

using Vector = float __attribute__((vector_size(kWidth * sizeof(float))));

/// From anywhere: a copy is one unaligned load, whatever the compiler takes for a vector's alignment.
static inline __attribute__((always_inline)) Vector load(const float* from) {
  Vector value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
static inline __attribute__((always_inline)) void store(float* to, Vector value) {
  __builtin_memcpy(to, &value, sizeof value);
}

}  // namespace dpm::cpu

/// Before a loop whose output may be its input: the same element, so that the order does not matter. Without it the
/// compiler's check for overlap sends the loop down its scalar path.
#if defined(__clang__)
#define DPM_ELEMENTWISE _Pragma("clang loop vectorize(assume_safety)")
#else
#define DPM_ELEMENTWISE _Pragma("GCC ivdep")
#endif

#define DPM_ISA_PASTE_(a, b) a##b
#define DPM_ISA_PASTE(a, b) DPM_ISA_PASTE_(a, b)
/// Namespace of this instruction set's functions.
#define DPM_ISA_NAMESPACE DPM_ISA_PASTE(isa_, DPM_ISA)
