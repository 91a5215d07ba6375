// Stacks to switch between. ucontext does it, too, with two system calls each time; jumps the address sanitizer does
// not follow.
#pragma once

#include <cstddef>
#include <memory>

namespace dpm::simt {

/// A stack on which `entry` runs, which must not return, or, without one, the thread's own.
class Stack {
 public:
  Stack() = default;
  explicit Stack(void (*entry)());

  /// Goes on with this stack where it was left, or begins it; comes back when somebody switches to `from`.
  void switch_from(Stack& from);

 private:
  std::unique_ptr<std::byte[]> memory_;
  [[maybe_unused]] std::size_t bytes_ = 0;
  void* pointer_ = nullptr;
  /// What the address sanitizer keeps for a stack that is left.
  [[maybe_unused]] void* shadow_ = nullptr;
};

}  // namespace dpm::simt
