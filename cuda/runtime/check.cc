#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// Returns whether an error is one of those after which, by the runtime's documentation, the process has to end.
bool is_sticky(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorContextIsDestroyed:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorTensorMemoryLeak:
    case cudaErrorMpsClientTerminated:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

}  // namespace

void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  // The error is cleared: some errors are kept until they are read, and would surface in a later, unrelated call.
  (void)cudaGetLastError();
  const std::string text =
      std::string("CUDA: ") + what + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")";
  if (is_sticky(error)) throw CardFailure(text);
  throw Error(error == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kDevice, text);
}

void check_launches(const char* what) { check_cuda(cudaGetLastError(), what); }

}  // namespace dpm::cuda
