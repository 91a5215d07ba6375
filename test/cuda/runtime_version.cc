// Version of the emulated runtime, apart from the rest, so that a second plug-in can have an older one.
#include "runtime.h"

#if !defined(DPM_EMULATED_RUNTIME)
#define DPM_EMULATED_RUNTIME 13000
#endif

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = DPM_EMULATED_RUNTIME;
  return cudaSuccess;
}
