// The engine's only exception class, and the codes that it carries across the C ABI and into JavaScript.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace dpm {

/// Kinds of errors, which are the public error codes (docs/errors.md).
enum class ErrorCode : int {
  kOk = 0,
  kArgument = 1,
  kUnsupported = 2,
  kOutOfMemory = 3,
  kDevice = 4,
  kInternal = 5,
  kAborted = 6,
  kClosed = 7,
  kFile = 8,
  kFileTruncated = 9,
  kTensorMissing = 10,
  kTensorShape = 11,
  kOverloaded = 12,
};

/// The public spelling, e.g. `ERR_DPM_ARGUMENT`.
const char* error_code_name(ErrorCode code) noexcept;

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// Throws `Error(kArgument)` with `message` unless `condition` holds.
inline void require(bool condition, const char* message) {
  if (!condition) throw Error(ErrorCode::kArgument, message);
}

/// Returns the error in flight as code and message; callable inside a catch block.
std::pair<ErrorCode, std::string> current_error() noexcept;

}  // namespace dpm
