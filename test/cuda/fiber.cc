#include "fiber.h"

#include <cstdint>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Assembly function that saves the registers that a function must keep, then the stack pointer in `left`, and takes
// both from `entered`: void dpm_switch_stack(void** left, void* entered).
extern "C" void dpm_switch_stack(void** left, void* entered);

#if defined(__x86_64__)

asm(R"(
.text
.type dpm_switch_stack, @function
dpm_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size dpm_switch_stack, . - dpm_switch_stack
)");
namespace {
constexpr std::size_t kSavedWords = 7;
constexpr std::size_t kReturnWord = 6;
// The last word is the return address, which a call has pushed.
constexpr std::size_t kReturnAtCall = 1;
}  // namespace

#elif defined(__aarch64__)

asm(R"(
.text
.type dpm_switch_stack, %function
dpm_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size dpm_switch_stack, . - dpm_switch_stack
)");
namespace {
constexpr std::size_t kSavedWords = 20;
constexpr std::size_t kReturnWord = 11;
constexpr std::size_t kReturnAtCall = 0;
}  // namespace

#else
#error "no stack switch for this processor: see fiber.cc"
#endif

namespace dpm::simt {
namespace {

constexpr std::size_t kBytes = std::size_t{256} << 10;
constexpr std::size_t kAlignment = 16;

void (*entry_of_new_stack)() = nullptr;

#if defined(__SANITIZE_ADDRESS__)
struct Bounds {
  const void* bottom = nullptr;
  std::size_t bytes = 0;
};

/// Returns the bounds of the thread's own stack. They are read once, because the system reads a file for them.
const Bounds& bounds_of_thread() {
  thread_local const Bounds bounds = [] {
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    void* address = nullptr;
    std::size_t bytes = 0;
    pthread_attr_getstack(&attributes, &address, &bytes);
    pthread_attr_destroy(&attributes);
    return Bounds{address, bytes};
  }();
  return bounds;
}
#endif

/// The first function of every stack.
void begin() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
  entry_of_new_stack();
}

}  // namespace

Stack::Stack(void (*entry)()) : memory_(std::make_unique<std::byte[]>(kBytes)), bytes_(kBytes) {
  entry_of_new_stack = entry;
  std::byte* top = memory_.get() + kBytes;
  top -= reinterpret_cast<std::uintptr_t>(top) % kAlignment;
  // Distance below a multiple of 16, equal to that of the stack pointer after a call instruction.
  constexpr std::size_t kBelow = kAlignment + (kSavedWords - kReturnAtCall) * sizeof(void*);
  std::uintptr_t words[kSavedWords] = {};
  words[kReturnWord] = reinterpret_cast<std::uintptr_t>(&begin);
  pointer_ = top - kBelow;
  std::memcpy(pointer_, words, sizeof words);
}

void Stack::switch_from(Stack& from) {
#if defined(__SANITIZE_ADDRESS__)
  const Bounds& own = bounds_of_thread();
  __sanitizer_start_switch_fiber(&from.shadow_, memory_ ? memory_.get() : own.bottom, memory_ ? bytes_ : own.bytes);
#endif
  dpm_switch_stack(&from.pointer_, pointer_);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.shadow_, nullptr, nullptr);
#endif
}

}  // namespace dpm::simt
