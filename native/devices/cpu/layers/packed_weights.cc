#include "devices/cpu/layers/packed_weights.h"

#include <algorithm>
#include <cstdlib>

#include "devices/cpu/layers/node_weights.h"

namespace dpm::cpu {
namespace {

constexpr int kWinogradTaps = 36;
/// Taps of the kernels that Winograd's algorithm multiplies.
constexpr int kKernelTaps = 9;
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

/// Returns how far the rows of `count` output channels are apart, if all are as far, otherwise 0.
std::ptrdiff_t step_of(const WeightRow* rows, int count) {
  const std::ptrdiff_t step = count > 1 ? rows[1].first - rows[0].first : 0;
  for (int row = 1; row < count; ++row) {
    const bool follows = rows[row].first - rows[row - 1].first == step;
    if (!follows || rows[row].input_stride != rows[0].input_stride || rows[row].tap_stride != rows[0].tap_stride) {
      return 0;
    }
  }
  return step;
}

/// Packs input channels of kernels that lie at equal distances: whatever their numbers' order, by squares of them.
void pack_even(const Job& job, const WeightRow& row, std::ptrdiff_t step, const PackedWeights::Panel& panel, int first,
               int count, float* to) {
  const std::ptrdiff_t width = std::ptrdiff_t{panel.vectors} * job.isa.width;
  const std::ptrdiff_t tap_stride = job.inputs * width;
  float* out = to + first * width;
  if (job.taps > 1 && row.tap_stride == 1) {
    for (int in = 0; in < count; ++in, out += width) {
      job.isa.transpose(row.kernel(first + in), step, panel.columns, job.taps, out, tap_stride);
    }
  } else if (job.taps > 1 && row.tap_stride == -1) {
    const std::ptrdiff_t last = job.taps - 1;
    for (int in = 0; in < count; ++in, out += width) {
      job.isa.transpose(row.kernel(first + in) - last, step, panel.columns, job.taps, out + last * tap_stride,
                        -tap_stride);
    }
  } else if (step == 1) {
    for (int in = 0; in < count; ++in, out += width) std::copy_n(row.kernel(first + in), panel.columns, out);
  } else {
    job.isa.transpose(row.kernel(first), step, panel.columns, count, out, width);
  }
  for (int tap = 0; tap < job.taps; ++tap) {
    out = to + tap * tap_stride + first * width;
    for (int in = 0; in < count; ++in, out += width) std::fill(out + panel.columns, out + width, 0.0F);
  }
}

/// Packs input channels [first, first + count) of kernels as they are.
void pack_plain(const Job& job, const WeightRow* rows, const PackedWeights::Panel& panel, int first, int count,
                float* to) {
  const std::ptrdiff_t step = step_of(rows, panel.columns);
  const bool is_even =
      step > 0 && (job.taps == 1 ? step == 1 || rows[0].input_stride == 1 : std::abs(rows[0].tap_stride) == 1);
  if (is_even) return pack_even(job, rows[0], step, panel, first, count, to);
  const std::ptrdiff_t width = std::ptrdiff_t{panel.vectors} * job.isa.width;
  const std::ptrdiff_t tap_stride = job.inputs * width;
  for (std::ptrdiff_t column = 0; column < width; ++column) {
    float* out = to + first * width + column;
    const bool is_missing = column >= panel.columns;
    for (int in = 0; in < count; ++in, out += width) {
      const float* kernel = is_missing ? nullptr : rows[column].kernel(first + in);
      for (int tap = 0; tap < job.taps; ++tap) {
        out[tap * tap_stride] = is_missing ? 0.0F : kernel[tap * rows[column].tap_stride];
      }
    }
  }
}

/// Returns `count` kernels of a row from input channel `first` on, one after the other: where they lie, or in `copy`.
const float* dense_kernels(const WeightRow& row, int first, int count, float* copy) {
  if (row.is_dense(kKernelTaps)) return row.kernel(first);
  for (int in = 0; in < count; ++in) {
    const float* kernel = row.kernel(first + in);
    for (int tap = 0; tap < kKernelTaps; ++tap) copy[in * kKernelTaps + tap] = kernel[tap * row.tap_stride];
  }
  return copy;
}

/// Packs input channels [first, first + count), at most kBlock, of kernels as Winograd's algorithm multiplies them.
void pack_winograd(const Job& job, const WeightRow* rows, const PackedWeights::Panel& panel, int first, int count,
                   float* to) {
  constexpr float kZeros[std::size_t{kBlock} * kKernelTaps] = {};
  const std::ptrdiff_t width = std::ptrdiff_t{panel.vectors} * job.isa.width;
  const float* kernels[kMostColumns];
  float copies[kMostColumns][kBlock * kKernelTaps];
  for (std::ptrdiff_t column = 0; column < width; ++column) {
    kernels[column] = column < panel.columns ? dense_kernels(rows[column], first, count, copies[column]) : kZeros;
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
  // The object may be gone when weights that move are packed again, but not the device.
  const auto pack = [shape = *this, job, &pool = factory.device.pool](std::span<const WeightElements> weights,
                                                                      float* to) {
    const std::vector<WeightRow> rows = rows_of(weights);
    const int blocks = divide_up(job.inputs, kBlock);
    pool.parallel_for(std::int64_t{shape.panels()} * blocks, [&](std::int64_t task, int /*thread*/) {
      const auto index = static_cast<std::size_t>(task / blocks);
      const int first = static_cast<int>(task % blocks) * kBlock;
      const int count = std::min(kBlock, job.inputs - first);
      const Panel target = shape.shape_of(static_cast<int>(index));
      const auto pack_block = job.packed_taps == job.taps ? pack_plain : pack_winograd;
      pack_block(job, rows.data() + target.first, target, first, count, to + shape.offsets_[index]);
    });
  };
  data_ = factory.packing.get(order, node.weights, node.weight_count, total * sizeof(float), pack);
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
