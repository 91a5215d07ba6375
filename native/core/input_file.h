// A file that is read at given offsets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "platform/file.h"

namespace dpm {

/// A file that is open during the object's lifetime. It is read, not mapped: shortening a mapped file would end the
/// processes that access it.
class InputFile {
 public:
  /// Opens the file. Throws Error(kFile) naming it when it cannot be opened or is no regular file.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// Reads `bytes` bytes from `offset` on into `to`. Throws Error(kFileTruncated) when the file ends before,
  /// Error(kFile) when it cannot be read.
  void read(std::uint64_t offset, void* to, std::size_t bytes) const;

  /// Size in bytes when the file was opened.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// Version when the file was opened.
  [[nodiscard]] const platform::FileVersion& version() const noexcept { return version_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  std::intptr_t handle_ = -1;
  std::uint64_t size_ = 0;
  platform::FileVersion version_;
};

}  // namespace dpm
