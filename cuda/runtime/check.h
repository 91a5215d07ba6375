// Errors of the CUDA runtime as exceptions.
#pragma once

#include <string>

#include "core/error.h"
#include "cuda/runtime/api.h"

namespace dpm::cuda {

/// An error after which the card's context is of no use to this process.
class CardFailure : public Error {
 public:
  explicit CardFailure(const std::string& message) : Error(ErrorCode::kDevice, message) {}
};

/// Throws unless `error` is success: Error(kOutOfMemory) for device memory, CardFailure for what CUDA calls sticky,
/// else Error(kDevice); with the name of the error and `what` was being done.
void check_cuda(cudaError_t error, const char* what);

/// Throws what a kernel launch left behind.
void check_launches(const char* what);

}  // namespace dpm::cuda
