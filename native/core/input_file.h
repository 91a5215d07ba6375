// A file that is read at given places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace dpm {

/// Open as long as it lives. It is read, not mapped: who shortens a mapped file ends the processes that look at it.
class InputFile {
 public:
  /// Throws Error(kFile) naming the file when it cannot be opened or is no regular file.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// Puts `bytes` bytes from `offset` on to `to`. Throws Error(kFileTruncated) when the file ends before,
  /// Error(kFile) when it cannot be read.
  void read(std::uint64_t offset, void* to, std::size_t bytes) const;

  /// In bytes, when it was opened.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  std::intptr_t handle_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace dpm
