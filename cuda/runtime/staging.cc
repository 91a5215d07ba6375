#include "cuda/runtime/staging.h"

#include <algorithm>
#include <cstring>

#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

constexpr std::size_t kBytes = std::size_t{4} << 20;
constexpr std::size_t kAlignment = 256;

}  // namespace

void Staging::make_ready() {
  if (memory_.bytes() == 0) memory_ = PinnedMemory(kBytes);
}

void Staging::upload(const Stream& stream, void* target, const void* data, std::size_t bytes) {
  make_ready();
  const auto* from = static_cast<const unsigned char*>(data);
  auto* to = static_cast<unsigned char*>(target);
  while (bytes > 0) {
    if (used_ == kBytes) {
      stream.wait();
      used_ = 0;
    }
    const std::size_t part = std::min(bytes, kBytes - used_);
    unsigned char* place = memory_.data() + used_;
    std::memcpy(place, from, part);
    check_cuda(cudaMemcpyAsync(to, place, part, cudaMemcpyHostToDevice, stream.get()), "copying to the card");
    used_ = std::min(kBytes, (used_ + part + kAlignment - 1) / kAlignment * kAlignment);
    from += part;
    to += part;
    bytes -= part;
  }
}

void Staging::download(const Stream& stream, const void* source, void* data, std::size_t bytes) {
  make_ready();
  stream.wait();
  // All uploads have been copied to the GPU, so their memory is free.
  used_ = 0;
  const auto* from = static_cast<const unsigned char*>(source);
  auto* to = static_cast<unsigned char*>(data);
  while (bytes > 0) {
    const std::size_t part = std::min(bytes, kBytes);
    check_cuda(cudaMemcpyAsync(memory_.data(), from, part, cudaMemcpyDeviceToHost, stream.get()),
               "copying from the card");
    stream.wait();
    std::memcpy(to, memory_.data(), part);
    from += part;
    to += part;
    bytes -= part;
  }
}

}  // namespace dpm::cuda
