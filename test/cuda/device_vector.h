// Vectors that both kernels and tests access: managed memory on a GPU, plain memory in the emulation.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

#include "cuda/runtime/api.h"

namespace dpm::test {

template <typename T>
struct ManagedAllocator {
  // NOLINTNEXTLINE(readability-identifier-naming): the name that it has in containers.
  using value_type = T;
  ManagedAllocator() = default;
  template <typename U>
  explicit ManagedAllocator(const ManagedAllocator<U>& /*other*/) {}

  T* allocate(std::size_t count) {
#if defined(DPM_CUDA_EMULATION)
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{256}));
#else
    void* address = nullptr;
    if (cudaMallocManaged(&address, count * sizeof(T), cudaMemAttachGlobal) != cudaSuccess) throw std::bad_alloc();
    return static_cast<T*>(address);
#endif
  }
  void deallocate(T* address, std::size_t /*count*/) {
#if defined(DPM_CUDA_EMULATION)
    ::operator delete(address, std::align_val_t{256});
#else
    cudaFree(address);
#endif
  }
  bool operator==(const ManagedAllocator&) const { return true; }
};

template <typename T>
using DeviceVector = std::vector<T, ManagedAllocator<T>>;

}  // namespace dpm::test
