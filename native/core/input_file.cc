#include "core/input_file.h"

#include <algorithm>
#include <stdexcept>

#include "core/error.h"
#include "platform/file.h"

namespace dpm {
namespace {

/// Systems refuse reads of 2 GiB and more.
constexpr std::size_t kMostAtOnce = std::size_t{1} << 30U;

[[noreturn]] void fail(const std::string& path, const char* what, const std::string& why) {
  throw Error(ErrorCode::kFile, "cannot " + std::string(what) + " " + path + ": " + why);
}

}  // namespace

InputFile::InputFile(const std::string& path) : path_(path) {
  const platform::OpenedFile file = platform::open_file(path);
  if (file.is_irregular) throw Error(ErrorCode::kFile, path + " is not a regular file");
  if (!file.problem.empty()) fail(path, "open", file.problem);
  handle_ = file.handle;
  size_ = file.size;
  version_ = file.version;
}

InputFile::~InputFile() { platform::close_file(handle_); }

void InputFile::read(std::uint64_t offset, void* to, std::size_t bytes) const {
  auto* target = static_cast<unsigned char*>(to);
  while (bytes > 0) {
    std::size_t count = 0;
    try {
      count = platform::read_at(handle_, offset, target, std::min(bytes, kMostAtOnce));
    } catch (const std::runtime_error& error) {
      fail(path_, "read", error.what());
    }
    if (count == 0) {
      throw Error(ErrorCode::kFileTruncated, path_ + " ends at byte " + std::to_string(offset) + ", " +
                                                 std::to_string(bytes) + " more are needed");
    }
    target += count;
    offset += count;
    bytes -= count;
  }
}

}  // namespace dpm
