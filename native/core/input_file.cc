#include "core/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace dpm {
namespace {

/// Systems refuse reads of 2 GiB and more.
constexpr std::size_t kMostAtOnce = std::size_t{1} << 30U;

[[noreturn]] void fail(const std::string& path, const char* what) {
  throw Error(ErrorCode::kFile, "cannot " + std::string(what) + " " + path + ": " + std::strerror(errno));
}

}  // namespace

InputFile::InputFile(const std::string& path)
    // Opening a pipe would wait for whoever writes to it.
    : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (descriptor_ < 0) fail(path, "open");
  struct stat status{};
  if (fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) {
    size_ = static_cast<std::uint64_t>(status.st_size);
    return;
  }
  close(descriptor_);
  throw Error(ErrorCode::kFile, path + " is not a regular file");
}

InputFile::~InputFile() { close(descriptor_); }

void InputFile::read(std::uint64_t offset, void* to, std::size_t bytes) const {
  auto* target = static_cast<unsigned char*>(to);
  while (bytes > 0) {
    const ssize_t count = pread(descriptor_, target, std::min(bytes, kMostAtOnce), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path_, "read");
    if (count == 0) {
      throw Error(ErrorCode::kFileTruncated, path_ + " ends at byte " + std::to_string(offset) + ", " +
                                                 std::to_string(bytes) + " more are needed");
    }
    target += count;
    offset += static_cast<std::uint64_t>(count);
    bytes -= static_cast<std::size_t>(count);
  }
}

}  // namespace dpm
