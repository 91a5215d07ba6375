// Differences between processors outside the kernels.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dpm::platform {

/// Relaxes the processor in loops that wait for another thread.
inline void relax_processor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// The register with this thread's floating-point mode, and its bits that turn subnormal numbers into zeros.
#if defined(__x86_64__)
inline constexpr std::uint64_t kFlushSubnormals = 0x8040;  // bits for results and operands
inline std::uint64_t float_control() { return _mm_getcsr(); }
inline void set_float_control(std::uint64_t state) { _mm_setcsr(static_cast<unsigned>(state)); }
#elif defined(__aarch64__)
inline constexpr std::uint64_t kFlushSubnormals = std::uint64_t{1} << 24;
inline std::uint64_t float_control() {
  std::uint64_t state = 0;
  asm volatile("mrs %0, fpcr" : "=r"(state));
  return state;
}
inline void set_float_control(std::uint64_t state) { asm volatile("msr fpcr, %0" ::"r"(state)); }
#else
inline constexpr std::uint64_t kFlushSubnormals = 0;
inline std::uint64_t float_control() { return 0; }
inline void set_float_control(std::uint64_t /*state*/) {}
#endif

/// Returns whether the system lets this process use the tile registers of AMX, on a processor that has them. They are
/// so large that the system requires a request; where there is no way to request them they are not used.
bool may_use_tiles();
/// Returns whether the system keeps AVX-512's registers for a thread only once it has used them, and does not report
/// them before.
bool keeps_avx512_from_first_use();

}  // namespace dpm::platform
