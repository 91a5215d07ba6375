// Test that the emulated GPU notices accesses beside an allocation, or after it was freed.
#include "guarded_memory.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "cuda/runtime/memory.h"
#include "cuda/runtime/staging.h"
#include "cuda/runtime/stream.h"
#include "runtime.h"

namespace dpm::test {
namespace {

#if defined(__SANITIZE_ADDRESS__)
// The sanitizer finds the access itself.
constexpr const char* kBefore = "AddressSanitizer";
constexpr const char* kBeyond = "AddressSanitizer";
constexpr const char* kFreed = "AddressSanitizer";
#else
constexpr const char* kBefore = "before the beginning of an allocation";
constexpr const char* kBeyond = "beyond the end of an allocation";
constexpr const char* kFreed = "memory that was freed";
#endif

constexpr std::size_t kBytes = 100;

/// Writes as a kernel would.
void write_at(unsigned char* place) {
  simt::submit(nullptr, [place] { *place = 7; });
  (void)cudaDeviceSynchronize();
}

class Guarded : public testing::Test {
 protected:
  unsigned char* allocate() {
    void* made = nullptr;
    EXPECT_EQ(cudaMalloc(&made, kBytes), cudaSuccess);
    return static_cast<unsigned char*>(made);
  }

  std::array<unsigned char, 2 * kBytes> host_{};
};

using GuardedDeathTest = Guarded;

TEST_F(GuardedDeathTest, NoticesWhatAKernelWroteBesideItWhenItIsFreed) {
  EXPECT_DEATH(
      {
        unsigned char* memory = allocate();
        write_at(memory - 1);
        (void)cudaFree(memory);
      },
      kBefore);
  EXPECT_DEATH(
      {
        unsigned char* memory = allocate();
        write_at(memory + kBytes);
        (void)cudaFree(memory);
      },
      kBeyond);
}

TEST_F(GuardedDeathTest, NoticesWhatAKernelWroteBesideItWhenItIsCopiedOrSet) {
  EXPECT_DEATH(
      {
        unsigned char* memory = allocate();
        write_at(memory + kBytes);
        (void)cudaMemcpyAsync(host_.data(), memory, kBytes, cudaMemcpyDeviceToHost, nullptr);
      },
      kBeyond);
  EXPECT_DEATH(
      {
        unsigned char* memory = allocate();
        write_at(memory + kBytes + 255);
        (void)cudaMemsetAsync(memory, 0, kBytes, nullptr);
      },
      kBeyond);
}

TEST_F(GuardedDeathTest, NoticesWhatIsWrittenOnceItIsFreed) {
  EXPECT_DEATH(
      {
        unsigned char* memory = allocate();
        (void)cudaFree(memory);
        write_at(memory + kBytes / 2);
        simt::check_memory();
      },
      kFreed);
}

TEST_F(GuardedDeathTest, NoticesCapturedCopiesOfWhatIsFreed) {
  EXPECT_DEATH(
      {
        const cuda::Stream stream;
        unsigned char* from = allocate();
        unsigned char* to = allocate();
        const cuda::Graph graph =
            stream.capture([&] { (void)cudaMemcpyAsync(to, from, kBytes, cudaMemcpyDeviceToDevice, stream.get()); });
        (void)cudaFree(from);
        graph.launch(stream);
        stream.wait();
      },
      "memory that was freed");
}

TEST_F(Guarded, HasNoCopyThatLeavesAnAllocation) {
  unsigned char* first = allocate();
  unsigned char* second = allocate();
  const auto copied = [&](void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  };
  EXPECT_EQ(copied(second, first, kBytes, cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(copied(second, first, kBytes + 1, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copied(second, first - 1, 1, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copied(second + 1, first, kBytes, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copied(second + kBytes, first, 1, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copied(second, host_.data(), kBytes + 1, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copied(host_.data(), first, kBytes + 1, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(first, 0, kBytes + 1, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(first, 0, kBytes, nullptr), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(copied(host_.data(), first, kBytes, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(first), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(second), cudaSuccess);
}

TEST_F(Guarded, ThatIsFreedIsNoNumber) {
  const cuda::Stream stream;
  auto* memory = reinterpret_cast<float*>(allocate());
  float seen = 0;
  EXPECT_EQ(cudaMemsetAsync(memory, 0, kBytes, stream.get()), cudaSuccess);
  const cuda::Graph graph = stream.capture([&] { simt::submit(stream.get(), [&] { seen = *memory; }); });
  graph.launch(stream);
  stream.wait();
  EXPECT_EQ(seen, 0.0F);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
#if !defined(__SANITIZE_ADDRESS__)
  graph.launch(stream);
  stream.wait();
  EXPECT_NE(seen, seen);
#endif
}

TEST_F(Guarded, IsRefusedWhenItIsToBe) {
  simt::reset_counters();
  simt::fail_allocations(1, 2);
  void* made = nullptr;
  std::vector<cudaError_t> errors;
  for (int i = 0; i < 4; ++i) {
    errors.push_back(i == 2 ? cudaMallocHost(&made, kBytes) : cudaMalloc(&made, kBytes));
    if (errors.back() == cudaSuccess) (void)cudaFree(made);
  }
  EXPECT_EQ(errors, (std::vector{cudaSuccess, cudaErrorMemoryAllocation, cudaErrorMemoryAllocation, cudaSuccess}));
  EXPECT_EQ(simt::counters().refused, 2U);
  (void)cudaGetLastError();
}

}  // namespace
}  // namespace dpm::test
