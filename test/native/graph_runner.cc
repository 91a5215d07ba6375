#include "graph_runner.h"

#include <sstream>

#include "cpu/isa_select.h"

namespace dpm::test {

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kOk;
}

std::vector<std::string> usable_isas() {
  std::vector<std::string> names;
  std::istringstream text(cpu::available_isas());
  for (std::string name; std::getline(text, name, ',');) names.push_back(name.substr(name.find_first_not_of(' ')));
  return names;
}

}  // namespace dpm::test
