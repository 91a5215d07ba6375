// State of an opened CPU device: its thread pool, its instruction set, its memory count.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/handles.h"
#include "backend/weight_cache.h"
#include "core/aligned_buffer.h"
#include "core/memory_count.h"
#include "core/thread_pool.h"
#include "devices/cpu/isa/kernels.h"
#include "devices/cpu/thread_share.h"

namespace dpm::cpu {

/// Memory that a MemoryCount counts during its lifetime.
class CountedBuffer {
 public:
  CountedBuffer() = default;
  CountedBuffer(MemoryCount& count, std::size_t bytes) : buffer_(bytes), count_(&count) { count.add(bytes); }
  CountedBuffer(CountedBuffer&& other) noexcept : buffer_(std::move(other.buffer_)), count_(other.count_) {
    other.count_ = nullptr;
  }
  CountedBuffer& operator=(CountedBuffer&& other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(count_, other.count_);
    return *this;
  }
  CountedBuffer(const CountedBuffer&) = delete;
  CountedBuffer& operator=(const CountedBuffer&) = delete;
  ~CountedBuffer() {
    if (count_ != nullptr) count_->remove(buffer_.size());
  }

  [[nodiscard]] float* floats() const { return buffer_.floats(); }
  [[nodiscard]] void* data() const { return buffer_.data(); }
  [[nodiscard]] std::size_t size() const { return buffer_.size(); }

 private:
  AlignedBuffer buffer_;
  MemoryCount* count_ = nullptr;
};

/// Packed weights: in memory of their own, which networks share, or on the stage of a network, where each layer's are
/// packed just before it runs.
class PackedBuffer {
 public:
  PackedBuffer(MemoryCount& count, std::size_t bytes) : own_(count, bytes) {}
  explicit PackedBuffer(std::shared_ptr<const CountedBuffer> stage) : stage_(std::move(stage)) {}

  [[nodiscard]] float* floats() const { return memory().floats(); }
  [[nodiscard]] void* data() const { return memory().data(); }

  std::uint64_t version = 0;  ///< number of the parameters that they were packed from (dpm_repack); 0: as loaded

 private:
  [[nodiscard]] const CountedBuffer& memory() const { return stage_ ? *stage_ : own_; }

  CountedBuffer own_;
  std::shared_ptr<const CountedBuffer> stage_;
};

struct Network;
struct Executable;

struct Buffer {
  CountedBuffer memory;
};

struct Device {
  Device(int threads, const IsaKernels& kernels, bool exact_only, int terms)
      : share(threads), pool(share.count()), isa(kernels), exact(exact_only), bf16_terms(terms) {}

  ThreadShare share;
  ThreadPool pool;
  const IsaKernels& isa;
  bool exact;
  /// Number of terms of every float in products of maps: 1 (bfloat16), 2 (float32 as the sum of two), or 0 for float32
  /// arithmetic.
  int bf16_terms;
  MemoryCount memory;
  WeightCache<PackedBuffer> weights;
  std::vector<float> thresholds;  ///< threshold per sample of the update in progress
  std::vector<float> magnitudes;  ///< values |x0| of a sample, per thread
};

using Handle = Handles<Device, Buffer, Network, Executable>;

}  // namespace dpm::cpu
