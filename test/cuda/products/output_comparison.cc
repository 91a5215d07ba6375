#include "output_comparison.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "cuda/kernels/storage.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

constexpr std::size_t kPiece = std::size_t{8} << 20;
constexpr std::size_t kMostThreads = 8;

struct Extremes {
  float difference = 0;
  float expected = 0;
  bool finite = true;
  bool spills = false;

  void add(const Extremes& other) {
    difference = std::max(difference, other.difference);
    expected = std::max(expected, other.expected);
    finite = finite && other.finite;
    spills = spills || other.spills;
  }
};

template <typename T>
Extremes compare_pixels(const OutputLayout& layout, const unsigned char* actual, const unsigned char* expected,
                        std::size_t pixels) {
  const auto channels = static_cast<std::size_t>(layout.channels);
  const std::size_t gap = layout.pixel_bytes() - channels * sizeof(T);
  Extremes extremes;
  for (std::size_t i = 0; i < pixels; ++i) {
    const unsigned char* got = actual + i * layout.pixel_bytes();
    const unsigned char* wanted = expected + i * layout.pixel_bytes();
    for (std::size_t c = 0; c < channels; ++c) {
      const float value = to_float(reinterpret_cast<const T*>(wanted)[c]);
      const float difference = std::abs(to_float(reinterpret_cast<const T*>(got)[c]) - value);
      extremes.finite = extremes.finite && difference <= std::numeric_limits<float>::max();
      extremes.difference = std::max(extremes.difference, difference);
      extremes.expected = std::max(extremes.expected, std::abs(value));
    }
    extremes.spills =
        extremes.spills || std::memcmp(got + channels * sizeof(T), wanted + channels * sizeof(T), gap) != 0;
  }
  return extremes;
}

/// Compares a piece by several threads.
Extremes compare_piece(const OutputLayout& layout, const PinnedMemory& actual, const PinnedMemory& expected,
                       std::size_t pixels) {
  const std::size_t threads = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMostThreads);
  const std::size_t each = pixels / threads + 1;
  std::vector<Extremes> parts(threads);
  {
    std::vector<std::jthread> running;
    running.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) {
      running.emplace_back([&, i] {
        const std::size_t first = std::min(i * each, pixels);
        const std::size_t offset = first * layout.pixel_bytes();
        parts[i] = with_storage(layout.dtype, [&](auto type) {
          return compare_pixels<decltype(type)>(layout, actual.data() + offset, expected.data() + offset,
                                                std::min(each, pixels - first));
        });
      });
    }
  }
  Extremes all;
  for (const Extremes& part : parts) all.add(part);
  return all;
}

}  // namespace

OutputComparison::OutputComparison(const Stream& stream, const OutputLayout& layout)
    : stream_(stream),
      layout_(layout),
      pixels_at_once_(std::min(static_cast<std::size_t>(layout.pixels), kPiece / layout.pixel_bytes() + 1)),
      actual_(pixels_at_once_ * layout.pixel_bytes()),
      expected_(pixels_at_once_ * layout.pixel_bytes()) {}

Difference OutputComparison::compare(const void* actual, const void* expected) const {
  const std::size_t pixels = static_cast<std::size_t>(layout_.pixels);
  Extremes all;
  for (std::size_t first = 0; first < pixels; first += pixels_at_once_) {
    const std::size_t count = std::min(pixels_at_once_, pixels - first);
    const auto fetch = [&](const PinnedMemory& target, const void* source) {
      check_cuda(
          cudaMemcpyAsync(target.data(), static_cast<const unsigned char*>(source) + first * layout_.pixel_bytes(),
                          count * layout_.pixel_bytes(), cudaMemcpyDeviceToHost, stream_.get()),
          "reading an output");
    };
    fetch(actual_, actual);
    fetch(expected_, expected);
    stream_.wait();
    all.add(compare_piece(layout_, actual_, expected_, count));
  }
  if (!all.finite) return {std::numeric_limits<double>::quiet_NaN(), all.spills};
  const double scale = std::max(static_cast<double>(all.expected), std::numeric_limits<double>::min());
  return {static_cast<double>(all.difference) / scale, all.spills};
}

double tolerance_of(const OutputLayout& layout) {
  constexpr double kExact = 1e-4;
  if (layout.dtype == DType::kBFloat16) return 0x1p-6;
  // TF32 has as many significand bits as binary16.
  return layout.dtype == DType::kFloat16 || layout.tf32 ? 0x1p-9 : kExact;
}

bool is_right(const Difference& difference, const OutputLayout& layout) {
  return difference.relative <= tolerance_of(layout) && !difference.spills;
}

}  // namespace dpm::cuda
