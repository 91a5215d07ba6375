// Stacks to switch between. The alternatives are ucontext, with two system calls per switch, and jumps, which the
// address sanitizer does not follow.
#pragma once

#include <cstddef>
#include <memory>

namespace dpm::simt {

/// A stack on which `entry` runs, which must not return; without `entry`, the thread's own stack.
class Stack {
 public:
  Stack() = default;
  explicit Stack(void (*entry)());

  /// Continues this stack where it was left, or begins it; returns when another stack switches to `from`.
  void switch_from(Stack& from);

 private:
  std::unique_ptr<std::byte[]> memory_;
  [[maybe_unused]] std::size_t bytes_ = 0;
  void* pointer_ = nullptr;
  /// State of the address sanitizer for a stack that is left.
  [[maybe_unused]] void* shadow_ = nullptr;
};

}  // namespace dpm::simt
