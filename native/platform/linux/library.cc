#include "platform/library.h"

namespace dpm::platform {

std::string library_file(const std::string& name) { return "lib" + name + ".so"; }

}  // namespace dpm::platform
