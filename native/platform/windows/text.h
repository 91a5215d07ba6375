// UTF-8 of ours and the system's UTF-16.
#pragma once

#include <string>

namespace dpm::platform {

std::wstring to_wide(const std::string& text);
std::string to_utf8(const std::wstring& text);
/// What the system says of an error, without the end of the line.
std::string message_of(unsigned long error);

}  // namespace dpm::platform
