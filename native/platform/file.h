// Files that are read at given places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace dpm::platform {

/// A file, or why there is none.
struct OpenedFile {
  std::intptr_t handle = -1;
  std::uint64_t size = 0;
  /// Empty where it is open.
  std::string problem;
  /// It is there but no regular file.
  bool is_irregular = false;
};

/// Opens a file for reading without waiting for anybody, whatever it is; `path` is UTF-8. `close_file` follows where it
/// is open.
OpenedFile open_file(const std::string& path);
void close_file(std::intptr_t handle) noexcept;

/// Reads up to `bytes` bytes, at most 1 GiB, from `offset` on; returns how many, 0 at the end. Throws
/// std::runtime_error saying why not, in UTF-8.
std::size_t read_at(std::intptr_t handle, std::uint64_t offset, void* to, std::size_t bytes);

}  // namespace dpm::platform
