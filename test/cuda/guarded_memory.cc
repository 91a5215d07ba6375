#include "guarded_memory.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace dpm::simt {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kIsSanitized = true;
void forbid(const unsigned char* begin, std::size_t bytes) { ASAN_POISON_MEMORY_REGION(begin, bytes); }
void allow(const unsigned char* begin, std::size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(begin, bytes); }
#else
constexpr bool kIsSanitized = false;
void forbid(const unsigned char* /*begin*/, std::size_t /*bytes*/) {}
void allow(const unsigned char* /*begin*/, std::size_t /*bytes*/) {}
#endif

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kZone = 256;
constexpr std::size_t kWord = 8;
constexpr unsigned char kNothing = 0xFF;
// Guard pattern: NaN in every type, and different from any pattern that memory is filled with.
constexpr std::array<unsigned char, 4> kGuard{0xC1, 0xFF, 0xC1, 0x7F};

unsigned char guard_at(const unsigned char* place) {
  return kGuard.at(reinterpret_cast<std::uintptr_t>(place) % kGuard.size());
}

void guard(unsigned char* begin) {
  for (unsigned char* place = begin; place != begin + kZone; ++place) *place = guard_at(place);
  // The sanitizer can forbid the first bytes of a word only together with its last ones.
  const std::size_t over = reinterpret_cast<std::uintptr_t>(begin + kZone) % kWord;
  forbid(begin, kZone + (over == 0 ? 0 : kWord - over));
}

bool is_whole(const unsigned char* begin) {
  const auto* place = begin;
  while (place != begin + kZone && *place == guard_at(place)) ++place;
  return place == begin + kZone;
}

}  // namespace

void stop_at(const char* what) {
  std::fprintf(stderr, "emulated card: %s\n", what);
  std::abort();
}

GuardedMemory::GuardedMemory(std::size_t bytes)
    : storage_(std::make_unique<unsigned char[]>(bytes + 2 * kZone + kAlignment + kWord)), bytes_(bytes) {
  void* start = storage_.get() + kZone;
  std::size_t space = bytes + kZone + kAlignment;
  data_ = static_cast<unsigned char*>(std::align(kAlignment, bytes + kZone, start, space));
  std::memset(data_, kNothing, bytes);
  guard(data_ - kZone);
  guard(data_ + bytes);
}

GuardedMemory::~GuardedMemory() {
  if (storage_) allow(storage_.get(), bytes_ + 2 * kZone + kAlignment + kWord);
}

void GuardedMemory::check() const {
  if (kIsSanitized) return;
  if (!is_whole(data_ - kZone)) stop_at("something was written before the beginning of an allocation");
  if (!is_whole(data_ + bytes_)) stop_at("something was written beyond the end of an allocation");
}

void GuardedMemory::spoil() const {
  check();
  std::memset(data_, kNothing, bytes_);
}

void GuardedMemory::check_spoilt() const {
  check();
  // The comparison with the next byte shows that all bytes of the range are equal.
  if (data_[0] == kNothing && std::memcmp(data_, data_ + 1, bytes_ - 1) == 0) return;
  stop_at("something was written into memory that was freed");
}

}  // namespace dpm::simt
