// Memory of the emulated card between two zones that nobody may write.
#pragma once

#include <cstddef>
#include <memory>

namespace dpm::simt {

/// Says what is wrong and ends the process: what runs on would have read or written something else.
[[noreturn]] void stop_at(const char* what);

/// At least 256-byte aligned, of NaN in every type until somebody writes it. The sanitizer, where there is one, watches
/// the zones itself, reads included; reads of them are NaN without it.
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

  /// Stops where a zone has been written.
  void check() const;
  /// Checks, and fills the memory with NaN: it is not to be read or written any more.
  void spoil() const;
  /// Stops where it has been written since.
  void check_spoilt() const;

 private:
  std::unique_ptr<unsigned char[]> storage_;
  unsigned char* data_ = nullptr;
  std::size_t bytes_;
};

}  // namespace dpm::simt
