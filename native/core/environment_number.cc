#include "core/environment_number.h"

#include <charconv>
#include <cstdlib>
#include <string>

#include "core/error.h"

namespace dpm {

std::optional<int> environment_number(const char* name, int least, int most) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  const std::string given = text;
  int number = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), number);
  if (error != std::errc() || end != given.data() + given.size() || number < least || number > most) {
    throw Error(ErrorCode::kArgument, std::string(name) + " is " + given + ", it has to be a number from " +
                                          std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

}  // namespace dpm
