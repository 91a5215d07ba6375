#include "platform/posix/file_times.h"

namespace dpm::platform {

timespec time_of_change(const struct stat& status) noexcept { return status.st_mtim; }

}  // namespace dpm::platform
