#include "platform/processor.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace dpm::platform {

bool may_use_tiles() {
#if defined(__x86_64__)
  constexpr int kRequestPermission = 0x1023;
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool keeps_avx512_from_first_use() { return false; }

}  // namespace dpm::platform
