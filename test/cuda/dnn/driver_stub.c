// Stands in for NVIDIA's driver library where there is none, so that cuDNN's sub-libraries, which are linked to it,
// load. Kernels that cuDNN compiles count as loaded, which lets plans finish; everything else says that there is no
// device, so nothing can run.
#include <stddef.h>

enum { kSuccess = 0, kNoDevice = 100, kVersion = 13000, kCluster = 8 };

static int placeholder;

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
  *version = kVersion;
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

DPM_LOADS(cuLibraryLoadData)
DPM_LOADS(cuLibraryLoadFromFile)
DPM_LOADS(cuLibraryGetKernel)
DPM_LOADS(cuKernelGetFunction)
DPM_LOADS(cuModuleLoadData)
DPM_LOADS(cuModuleGetFunction)
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
