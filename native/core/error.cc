#include "core/error.h"

#include <new>

namespace dpm {

const char* error_code_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kOk:
      return "ERR_DPM_OK";
    case ErrorCode::kArgument:
      return "ERR_DPM_ARGUMENT";
    case ErrorCode::kUnsupported:
      return "ERR_DPM_UNSUPPORTED";
    case ErrorCode::kOutOfMemory:
      return "ERR_DPM_OUT_OF_MEMORY";
    case ErrorCode::kDevice:
      return "ERR_DPM_DEVICE";
    case ErrorCode::kInternal:
      return "ERR_DPM_INTERNAL";
    case ErrorCode::kAborted:
      return "ERR_DPM_ABORTED";
    case ErrorCode::kClosed:
      return "ERR_DPM_CLOSED";
    case ErrorCode::kFile:
      return "ERR_DPM_FILE";
    case ErrorCode::kFileTruncated:
      return "ERR_DPM_FILE_TRUNCATED";
    case ErrorCode::kTensorMissing:
      return "ERR_DPM_TENSOR_MISSING";
    case ErrorCode::kTensorShape:
      return "ERR_DPM_TENSOR_SHAPE";
    case ErrorCode::kOverloaded:
      return "ERR_DPM_OVERLOADED";
  }
  return "ERR_DPM_INTERNAL";
}

std::pair<ErrorCode, std::string> current_error() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {ErrorCode::kOutOfMemory, "out of memory"};
  } catch (const std::exception& error) {
    return {ErrorCode::kInternal, error.what()};
  } catch (...) {
    return {ErrorCode::kInternal, "unknown error"};
  }
}

}  // namespace dpm
