// Errors of the CUDA runtime as exceptions.
#pragma once

#include <string>

#include "core/error.h"
#include "cuda/runtime/api.h"

namespace dpm::cuda {

/// An error after which the GPU's context is unusable in this process.
class CardFailure : public Error {
 public:
  explicit CardFailure(const std::string& message) : Error(ErrorCode::kDevice, message) {}
};

/// Throws unless `error` is success: Error(kOutOfMemory) for device memory, CardFailure for errors that CUDA calls
/// sticky, else Error(kDevice). The text has the name of the error and `what`, the action that failed.
void check_cuda(cudaError_t error, const char* what);

/// Throws the error of a kernel launch, if there is one.
void check_launches(const char* what);

}  // namespace dpm::cuda
