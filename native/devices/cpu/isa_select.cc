#include "devices/cpu/isa_select.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "core/error.h"
#if defined(__x86_64__)
#include "devices/cpu/bf16/kernels.h"
#include "platform/instruction_sets.h"
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

/// Returns the AVX-512 kernels with `bf16` added.
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
  static const platform::InstructionSets runs = platform::instruction_sets_of(platform::read_processor());
  if (runs.amx_bf16 && platform::may_use_tiles()) found.push_back(&amx);
  if (runs.avx512_bf16) found.push_back(&avx512_bf16);
  if (runs.avx512) found.push_back(&isa_avx512::kKernels);
  if (runs.avx2) found.push_back(&isa_avx2::kKernels);
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
