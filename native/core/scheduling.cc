#include "core/scheduling.h"

#include "core/environment_number.h"

namespace dpm {
namespace {

constexpr int kNicest = 19;

}  // namespace

int niceness_of_engines() { return environment_number("DPM_NICE", 0, kNicest).value_or(0); }

}  // namespace dpm
