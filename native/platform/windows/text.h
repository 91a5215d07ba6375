// Conversion between UTF-8 and the system's UTF-16.
#pragma once

#include <string>

namespace dpm::platform {

std::wstring to_wide(const std::string& text);
std::string to_utf8(const std::wstring& text);
/// Returns the system's message for an error, without the end of the line.
std::string message_of(unsigned long error);

}  // namespace dpm::platform
