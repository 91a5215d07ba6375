#include "platform/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "platform/posix/file_times.h"

namespace dpm::platform {

namespace {

std::uint64_t nanoseconds(const timespec& time) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  return static_cast<std::uint64_t>(time.tv_sec) * kSecond + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

OpenedFile open_file(const std::string& path) {
  OpenedFile file;
  // Opening a pipe would otherwise wait for a writer.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    file.problem = std::strerror(errno);
    return file;
  }
  struct stat status{};
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
    file.handle = descriptor;
    file.size = static_cast<std::uint64_t>(status.st_size);
    file.version = {static_cast<std::uint64_t>(status.st_ino), nanoseconds(time_of_change(status))};
    return file;
  }
  close(descriptor);
  file.is_irregular = true;
  file.problem = "it is not a regular file";
  return file;
}

void close_file(std::intptr_t handle) noexcept { close(static_cast<int>(handle)); }

std::size_t read_at(std::intptr_t handle, std::uint64_t offset, void* to, std::size_t bytes) {
  for (;;) {
    const ssize_t count = pread(static_cast<int>(handle), to, bytes, static_cast<off_t>(offset));
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) throw std::runtime_error(std::strerror(errno));
  }
}

}  // namespace dpm::platform
