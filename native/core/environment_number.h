// Numbers that environment variables give.
#pragma once

#include <optional>

namespace dpm {

/// What $`name` says; nothing where it is unset or empty. Throws Error(kArgument) for what is no number from `least` to
/// `most`.
std::optional<int> environment_number(const char* name, int least, int most);

}  // namespace dpm
