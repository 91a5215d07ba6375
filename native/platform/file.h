// Files that are read at given offsets.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

namespace dpm::platform {

/// What tells a file from another that has taken its place, and from itself before it was changed.
struct FileVersion {
  std::uint64_t index = 0;    ///< number of the file in its volume
  std::uint64_t changed = 0;  ///< time of the last change, in the system's smallest units

  [[nodiscard]] auto operator<=>(const FileVersion&) const = default;
};

/// A file, or the reason why it could not be opened.
struct OpenedFile {
  std::intptr_t handle = -1;
  std::uint64_t size = 0;
  FileVersion version;
  /// Reason of the failure; empty where the file is open.
  std::string problem;
  /// Tells whether the path exists but is no regular file.
  bool is_irregular = false;
};

/// Opens a file for reading, without blocking even if it is a pipe; `path` is UTF-8. Where it is open, the caller calls
/// `close_file`.
OpenedFile open_file(const std::string& path);
void close_file(std::intptr_t handle) noexcept;

/// Reads up to `bytes` bytes, at most 1 GiB, from `offset` on; returns the number of bytes read, 0 at the end. Throws
/// std::runtime_error with the reason in UTF-8.
std::size_t read_at(std::intptr_t handle, std::uint64_t offset, void* to, std::size_t bytes);

}  // namespace dpm::platform
