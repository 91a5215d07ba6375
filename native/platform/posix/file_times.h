// Times of files, whose names differ between systems.
#pragma once

#include <sys/stat.h>

#include <ctime>

namespace dpm::platform {

/// Returns the time at which a file's contents were last changed.
timespec time_of_change(const struct stat& status) noexcept;

}  // namespace dpm::platform
