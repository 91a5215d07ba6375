// Numbers from environment variables.
#pragma once

#include <optional>

namespace dpm {

/// Reads the number in environment variable `name`; empty where it is unset or empty. Throws Error(kArgument) unless it
/// is a number from `least` to `most`.
std::optional<int> environment_number(const char* name, int least, int most);

}  // namespace dpm
