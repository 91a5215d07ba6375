#include "cpu/isa_select.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "core/error.h"

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

std::vector<const IsaKernels*> usable() {
#if defined(__x86_64__)
  std::vector<const IsaKernels*> found;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    found.push_back(&isa_avx512::kKernels);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&isa_avx2::kKernels);
  found.push_back(&isa_sse2::kKernels);
  return found;
#elif defined(__aarch64__)
  return {&isa_neon::kKernels};
#else
  return {};
#endif
}

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
