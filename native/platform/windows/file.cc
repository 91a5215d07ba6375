#include "platform/file.h"

#include <windows.h>

#include <stdexcept>

#include "platform/windows/text.h"

namespace dpm::platform {
namespace {

HANDLE handle_of(std::intptr_t handle) { return reinterpret_cast<HANDLE>(handle); }

}  // namespace

OpenedFile open_file(const std::string& path) {
  OpenedFile file;
  constexpr DWORD kShared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
  // Backup semantics are needed to get a handle for a folder, which is then told from a file by its attributes.
  HANDLE handle = CreateFileW(to_wide(path).c_str(), GENERIC_READ, kShared, nullptr, OPEN_EXISTING,
                              FILE_FLAG_BACKUP_SEMANTICS, nullptr);
  if (handle == INVALID_HANDLE_VALUE) {
    file.problem = message_of(GetLastError());
    return file;
  }
  BY_HANDLE_FILE_INFORMATION information{};
  const bool is_regular = GetFileType(handle) == FILE_TYPE_DISK &&
                          GetFileInformationByHandle(handle, &information) != 0 &&
                          (information.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
  if (!is_regular) {
    CloseHandle(handle);
    file.is_irregular = true;
    file.problem = "it is not a regular file";
    return file;
  }
  file.handle = reinterpret_cast<std::intptr_t>(handle);
  const FILETIME& changed = information.ftLastWriteTime;
  file.version = {(std::uint64_t{information.nFileIndexHigh} << 32U) | information.nFileIndexLow,
                  (std::uint64_t{changed.dwHighDateTime} << 32U) | changed.dwLowDateTime};
  file.size = (std::uint64_t{information.nFileSizeHigh} << 32U) | information.nFileSizeLow;
  return file;
}

void close_file(std::intptr_t handle) noexcept { CloseHandle(handle_of(handle)); }

std::size_t read_at(std::intptr_t handle, std::uint64_t offset, void* to, std::size_t bytes) {
  OVERLAPPED place{};
  place.Offset = static_cast<DWORD>(offset);
  place.OffsetHigh = static_cast<DWORD>(offset >> 32U);
  DWORD count = 0;
  if (ReadFile(handle_of(handle), to, static_cast<DWORD>(bytes), &count, &place) != 0) return count;
  const DWORD error = GetLastError();
  if (error == ERROR_HANDLE_EOF) return 0;
  throw std::runtime_error(message_of(error));
}

}  // namespace dpm::platform
