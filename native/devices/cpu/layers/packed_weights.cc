#include "devices/cpu/layers/packed_weights.h"

#include "devices/cpu/layers/node_weights.h"

namespace dpm::cpu {
namespace {

constexpr int kWinogradTaps = 36;
/// Largest width of a panel, of two vectors.
constexpr int kMostColumns = 32;
/// Number of input channels that a task packs, whose numbers stay in a core's first cache.
constexpr int kBlock = 8;

/// Where the numbers of a panel come from and go to.
struct Job {
  const IsaKernels& isa;
  int inputs;
  int taps;         ///< taps of a kernel
  int packed_taps;  ///< numbers that are packed of a kernel
};

/// Packs input channels [first, first + count) of kernels as they are.
void pack_plain(const Job& job, const float* const* rows, const PackedWeights::Panel& panel, int first, int count,
                float* to) {
  const std::ptrdiff_t width = std::ptrdiff_t{panel.vectors} * job.isa.width;
  const std::ptrdiff_t tap_stride = job.inputs * width;
  for (std::ptrdiff_t column = 0; column < width; ++column) {
    float* out = to + first * width + column;
    const bool is_missing = column >= panel.columns;
    const float* kernel = is_missing ? nullptr : rows[column] + std::ptrdiff_t{first} * job.taps;
    for (int in = 0; in < count; ++in, out += width) {
      for (int tap = 0; tap < job.taps; ++tap) out[tap * tap_stride] = is_missing ? 0.0F : *kernel++;
    }
  }
}

/// Packs input channels [first, first + count), at most kBlock, of kernels as Winograd's algorithm multiplies them.
void pack_winograd(const Job& job, const float* const* rows, const PackedWeights::Panel& panel, int first, int count,
                   float* to) {
  constexpr float kZeros[std::size_t{kBlock} * 9] = {};
  const std::ptrdiff_t width = std::ptrdiff_t{panel.vectors} * job.isa.width;
  const float* kernels[kMostColumns];
  for (std::ptrdiff_t column = 0; column < width; ++column) {
    kernels[column] = column < panel.columns ? rows[column] + std::ptrdiff_t{first} * job.taps : kZeros;
  }
  // The 36 places of a kernel would compete for a few lines of the cache, so runs of them are written together.
  alignas(64) float block[kWinogradTaps * kBlock * kMostColumns];
  job.isa.winograd_weights(kernels, count, panel.vectors, block, kBlock * width);
  for (int tap = 0; tap < kWinogradTaps; ++tap) {
    std::copy_n(block + tap * kBlock * width, count * width, to + (std::ptrdiff_t{tap} * job.inputs + first) * width);
  }
}

}  // namespace

PackedWeights::PackedWeights(const LayerFactory& factory, const dpm_node& node, int in_channels, int out_channels,
                             Form form)
    : out_channels_(out_channels), width_(factory.device.isa.width) {
  const int kernel = convolution_of(node).kernel;
  const bool transforms = form == Form::kWinograd;
  const Job job{factory.device.isa, in_channels, kernel * kernel, transforms ? kWinogradTaps : kernel * kernel};
  std::size_t total = 0;
  for (int first = 0; first < out_channels; first += 2 * width_) {
    offsets_.push_back(total);
    const int columns = out_channels - first > width_ ? 2 * width_ : width_;
    total += static_cast<std::size_t>(job.packed_taps) * static_cast<std::size_t>(in_channels) *
             static_cast<std::size_t>(columns);
  }
  const WeightOrder order = transforms ? WeightOrder::kWinograd : WeightOrder::kPanels;
  data_ = factory.packing.get(order, node.weights, node.weight_count, total * sizeof(float), [&](float* to) {
    const NodeWeights weights(factory.graph, node);
    const int blocks = divide_up(in_channels, kBlock);
    factory.device.pool.parallel_for(std::int64_t{panels()} * blocks, [&](std::int64_t task, int /*thread*/) {
      const auto index = static_cast<std::size_t>(task / blocks);
      const int first = static_cast<int>(task % blocks) * kBlock;
      const int count = std::min(kBlock, in_channels - first);
      const Panel target = shape_of(static_cast<int>(index));
      const auto pack = transforms ? pack_winograd : pack_plain;
      pack(job, weights.rows(target.first), target, first, count, to + offsets_[index]);
    });
  });
}

PackedWeights::Panel PackedWeights::shape_of(int index) const {
  const int first = index * 2 * width_;
  const int columns = std::min(out_channels_ - first, 2 * width_);
  return {nullptr, first, columns, columns > width_ ? 2 : 1};
}

PackedWeights::Panel PackedWeights::panel(int index) const {
  Panel panel = shape_of(index);
  panel.data = data_->floats() + offsets_[static_cast<std::size_t>(index)];
  return panel;
}

}  // namespace dpm::cpu
