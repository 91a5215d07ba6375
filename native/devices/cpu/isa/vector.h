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

/// Number of independent sums that hide the latency of two multiply-add units.
constexpr int kIndependentSums = kWidth > 4 ? 12 : 8;

using Vector = float __attribute__((vector_size(kWidth * sizeof(float))));

/// Loads a vector from any address by a copy, which compiles to one unaligned load whatever alignment the compiler
/// assumes for a vector.
static inline __attribute__((always_inline)) Vector load(const float* from) {
  Vector value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
static inline __attribute__((always_inline)) void store(float* to, Vector value) {
  __builtin_memcpy(to, &value, sizeof value);
}

}  // namespace dpm::cpu

/// Marks a loop whose output may be its input: each element depends on the same element only, so the order does not
/// matter. Without the mark the compiler's check for overlap sends the loop down its scalar path.
#if defined(__clang__)
#define DPM_ELEMENTWISE _Pragma("clang loop vectorize(assume_safety)")
#else
#define DPM_ELEMENTWISE _Pragma("GCC ivdep")
#endif

#define DPM_ISA_PASTE_(a, b) a##b
#define DPM_ISA_PASTE(a, b) DPM_ISA_PASTE_(a, b)
/// Namespace of this instruction set's functions.
#define DPM_ISA_NAMESPACE DPM_ISA_PASTE(isa_, DPM_ISA)

namespace dpm::cpu::DPM_ISA_NAMESPACE {

/// Calls `body(c)` for every channel of a pixel, by whole vectors as far as they go: a loop whose length the compiler
/// knows has nothing to decide for each pixel.
template <typename Body>
static inline __attribute__((always_inline)) void for_channels(int channels, const Body& body) {
  int c = 0;
  for (; c + kWidth <= channels; c += kWidth) {
    DPM_ELEMENTWISE
    for (int i = 0; i < kWidth; ++i) body(c + i);
  }
  DPM_ELEMENTWISE
  for (int rest = c; rest < channels; ++rest) body(rest);
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
