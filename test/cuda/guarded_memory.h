// Memory of the emulated GPU between two zones that must not be written.
#pragma once

#include <cstddef>
#include <memory>

namespace dpm::simt {

/// Reports an error and ends the process, which would otherwise continue with wrong memory accesses.
[[noreturn]] void stop_at(const char* what);

/// Memory aligned to at least 256 bytes, filled with NaN of every type until it is written. The sanitizer, where there
/// is one, watches the zones itself, including reads; without it, reads of them give NaN.
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t bytes);
  ~GuardedMemory();
  GuardedMemory(GuardedMemory&&) noexcept = default;
  GuardedMemory& operator=(GuardedMemory&&) = delete;
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  [[nodiscard]] unsigned char* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  /// Stops the process where a zone has been written.
  void check() const;
  /// Checks the zones, and fills the memory with NaN: it must not be read or written any more.
  void spoil() const;
  /// Stops the process where the memory has been written since.
  void check_spoilt() const;

 private:
  std::unique_ptr<unsigned char[]> storage_;
  unsigned char* data_ = nullptr;
  std::size_t bytes_;
};

}  // namespace dpm::simt
