// A stand-in for NVIDIA's driver library where there is none, so that cuDNN's sub-libraries, which are linked to it,
// load. Kernels that cuDNN compiles count as loaded, so that plans can be finished; every other call reports that there
// is no device, so nothing can run. $DPM_STUB_DRIVER is the version that it reports.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { kSuccess = 0, kNoDevice = 100, kVersion = 13000, kCluster = 8 };

static int placeholder;

// Name of the kernel that the running thread requested last: it shows for which GPUs it was compiled.
static __thread char last_kernel[256];
const char* dpm_stub_last_kernel(void);
const char* dpm_stub_last_kernel(void) { return last_kernel; }
void dpm_stub_forget_kernel(void);
void dpm_stub_forget_kernel(void) { last_kernel[0] = 0; }

static int found(void** result, const char* name) {
  strncpy(last_kernel, name, sizeof last_kernel - 1);
  *result = &placeholder;
  return kSuccess;
}

#define DPM_LOADS(name)     \
  int name(void** result) { \
    *result = &placeholder; \
    return kSuccess;        \
  }
#define DPM_SUCCEEDS(name) \
  int name(void) { return kSuccess; }
#define DPM_REFUSES(name) \
  int name(void) { return kNoDevice; }

int cuDriverGetVersion(int* version) {
  const char* chosen = getenv("DPM_STUB_DRIVER");
  *version = chosen != NULL ? atoi(chosen) : kVersion;
  return kSuccess;
}
int cuKernelGetAttribute(int* value) {
  *value = 0;
  return kSuccess;
}
int cuOccupancyMaxPotentialClusterSize(int* size) {
  *size = kCluster;
  return kSuccess;
}

int cuLibraryGetKernel(void** result, void* library, const char* name) {
  (void)library;
  return found(result, name);
}
int cuModuleGetFunction(void** result, void* module, const char* name) {
  (void)module;
  return found(result, name);
}

DPM_LOADS(cuLibraryLoadData)
DPM_LOADS(cuLibraryLoadFromFile)
DPM_LOADS(cuKernelGetFunction)
DPM_LOADS(cuModuleLoadData)
DPM_SUCCEEDS(cuLibraryUnload)
DPM_SUCCEEDS(cuModuleUnload)
DPM_SUCCEEDS(cuKernelSetAttribute)
DPM_REFUSES(cuGetErrorString)
DPM_REFUSES(cuGetErrorName)
DPM_REFUSES(cuTensorMapEncodeIm2col)
DPM_REFUSES(cuTensorMapEncodeTiled)
DPM_REFUSES(cuCtxGetCurrent)
DPM_REFUSES(cuCtxGetLimit)
DPM_REFUSES(cuCtxPopCurrent)
DPM_REFUSES(cuCtxPushCurrent)
DPM_REFUSES(cuDeviceGet)
DPM_REFUSES(cuDeviceGetCount)
DPM_REFUSES(cuLaunchKernel)
DPM_REFUSES(cuLaunchKernelEx)
DPM_REFUSES(cuLaunchCooperativeKernel)
DPM_REFUSES(cuLinkAddData)
DPM_REFUSES(cuLinkComplete)
DPM_REFUSES(cuLinkCreate)
DPM_REFUSES(cuLinkDestroy)
DPM_REFUSES(cuStreamGetCtx)
