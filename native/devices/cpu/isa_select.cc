#include "devices/cpu/isa_select.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "core/error.h"
#if defined(__x86_64__)
#include <cpuid.h>

#include "devices/cpu/bf16/kernels.h"
#include "platform/processor.h"
#endif

namespace dpm::cpu {

#if defined(__x86_64__)
namespace isa_avx512 {
extern const IsaKernels kKernels;
}
namespace isa_avx2 {
extern const IsaKernels kKernels;
}
namespace isa_sse2 {
extern const IsaKernels kKernels;
}
#elif defined(__aarch64__)
namespace isa_neon {
extern const IsaKernels kKernels;
}
#endif

namespace {

#if defined(__x86_64__)

bool runs_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/// Whether the processor has AMX for bfloat16 and the system lets this process use it.
bool runs_amx() {
  constexpr unsigned kBf16 = 1U << 22;
  constexpr unsigned kTiles = 1U << 24;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kBf16) == 0 || (edx & kTiles) == 0) return false;
  return platform::may_use_tiles();
}

/// AVX-512 and `bf16`.
IsaKernels with_bf16(const char* name, const Bf16Kernels& bf16) {
  IsaKernels kernels = isa_avx512::kKernels;
  kernels.name = name;
  kernels.bf16 = &bf16;
  return kernels;
}

std::vector<const IsaKernels*> usable() {
  static const IsaKernels amx = with_bf16("amx", kAmxKernels);
  static const IsaKernels avx512_bf16 = with_bf16("avx512bf16", kAvx512Bf16Kernels);
  std::vector<const IsaKernels*> found;
  if (runs_avx512()) {
    const bool bf16 = __builtin_cpu_supports("avx512bf16");
    if (bf16 && runs_amx()) found.push_back(&amx);
    if (bf16) found.push_back(&avx512_bf16);
    found.push_back(&isa_avx512::kKernels);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&isa_avx2::kKernels);
  found.push_back(&isa_sse2::kKernels);
  return found;
}

#elif defined(__aarch64__)

std::vector<const IsaKernels*> usable() { return {&isa_neon::kKernels}; }

#endif

}  // namespace

const char* available_isas() {
  static const std::string names = [] {
    std::string text;
    for (const IsaKernels* isa : usable()) text += (text.empty() ? "" : ", ") + std::string(isa->name);
    return text;
  }();
  return names.c_str();
}

const IsaKernels& select_isa() {
  const std::vector<const IsaKernels*> isas = usable();
  const char* forced = std::getenv("DPM_CPU_ISA");
  if (forced == nullptr || *forced == '\0') return *isas.front();
  for (const IsaKernels* isa : isas) {
    if (std::string(forced) == isa->name) return *isa;
  }
  throw Error(ErrorCode::kArgument,
              std::string("DPM_CPU_ISA is ") + forced + ", this processor runs " + available_isas());
}

}  // namespace dpm::cpu
