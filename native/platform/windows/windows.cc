#include <malloc.h>
#include <windows.h>

#include <algorithm>
#include <thread>

#include "platform/library.h"
#include "platform/memory.h"
#include "platform/processor.h"
#include "platform/threads.h"
#include "platform/windows/text.h"

namespace dpm::platform {

void* allocate_aligned(std::size_t alignment, std::size_t bytes) noexcept { return _aligned_malloc(bytes, alignment); }

void free_aligned(void* memory) noexcept { _aligned_free(memory); }

/// Nothing to advise: large pages are a privilege that few accounts have.
void advise_huge_pages(void* /*memory*/, std::size_t /*bytes*/) noexcept {}

OpenedLibrary open_library(const std::string& path) {
  const bool has_folder = path.find_first_of("/\\") != std::string::npos;
  // The dependencies of a plug-in are also searched in its own folder, and never in the current one.
  const DWORD flags = LOAD_LIBRARY_SEARCH_DEFAULT_DIRS | (has_folder ? LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR : 0);
  std::wstring wide = to_wide(path);
  if (has_folder) {
    // The search in a folder requires its full path.
    std::wstring whole(GetFullPathNameW(wide.c_str(), 0, nullptr, nullptr), L'\0');
    whole.resize(GetFullPathNameW(wide.c_str(), static_cast<DWORD>(whole.size()), whole.data(), nullptr));
    wide = whole;
  }
  HMODULE library = LoadLibraryExW(wide.c_str(), nullptr, flags);
  if (library != nullptr) return {reinterpret_cast<void*>(library), {}};
  return {nullptr, message_of(GetLastError())};
}

void* find_symbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(library), name));
}

const char* cuda_driver() { return nullptr; }

std::string directory_of(const void* function) {
  HMODULE library = nullptr;
  constexpr DWORD kOfAddress = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
  if (GetModuleHandleExW(kOfAddress, static_cast<LPCWSTR>(function), &library) == 0) return ".";
  std::wstring path(MAX_PATH, L'\0');
  DWORD length = 0;
  // The path is cut off where the buffer is too small.
  while ((length = GetModuleFileNameW(library, path.data(), static_cast<DWORD>(path.size()))) == path.size()) {
    path.resize(2 * path.size());
  }
  path.resize(length);
  const std::size_t slash = path.find_last_of(L"/\\");
  return slash == std::wstring::npos ? "." : to_utf8(path.substr(0, slash));
}

/// Counts the processors of this process's group, where all threads run unless they are moved.
int available_processors() {
  DWORD_PTR own = 0;
  DWORD_PTR system = 0;
  if (GetProcessAffinityMask(GetCurrentProcess(), &own, &system) != 0 && own != 0) {
    return static_cast<int>(__builtin_popcountll(own));
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void yield_to_short_work(int niceness) {
  if (niceness > 0) SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_BELOW_NORMAL);
}

/// Tiles are available from Windows 11 on.
bool may_use_tiles() {
  using Enable = BOOL(WINAPI*)(DWORD64);
  constexpr DWORD64 kTileData = DWORD64{1} << 18;
  void* found =
      find_symbol(reinterpret_cast<void*>(GetModuleHandleW(L"kernel32.dll")), "EnableProcessOptionalXStateFeatures");
  return found != nullptr && reinterpret_cast<Enable>(found)(kTileData) != 0;
}

bool keeps_avx512_from_first_use() { return false; }

}  // namespace dpm::platform
