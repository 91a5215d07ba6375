// Conversion of exceptions to the status and message of the C ABI.
#pragma once

#include <string_view>

#include "backend/backend.h"
#include "backend/c_enums.h"
#include "core/error.h"

namespace dpm {

inline void set_message(dpm_message* message, std::string_view text) noexcept {
  if (message == nullptr) return;
  const std::size_t length = text.copy(message->text, sizeof message->text - 1);
  message->text[length] = '\0';
}

/// Runs `body`; an exception becomes the returned status and `message`.
template <typename Body>
dpm_status guarded(dpm_message* message, const Body& body) noexcept {
  try {
    body();
    return static_cast<dpm_status>(ErrorCode::kOk);
  } catch (...) {
    const auto [code, text] = current_error();
    set_message(message, text);
    return static_cast<dpm_status>(code);
  }
}

/// Throws the error that a device reported: the inverse of the conversion above.
inline void check(dpm_status status, const dpm_message& message) {
  if (status != 0) throw Error(static_cast<ErrorCode>(status), message.text);
}

}  // namespace dpm
