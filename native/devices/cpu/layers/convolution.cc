// Convolutions and products. A 1x1 convolution is a product over pixels in place; a larger kernel first lays out a band
// of input rows with its zero border (and enlarged, where upsampling is fused), then runs the same tiles over it.
#include "devices/cpu/layers/convolution.h"

#include "devices/cpu/layers/packed_weights.h"

namespace dpm::cpu {
namespace {

// Size of a band, which shares the second-level cache with a panel of weights.
constexpr std::int64_t kBandFloats = 48 * 1024;
constexpr int kTasksPerThread = 4;

/// A convolution whose weights are packed without a transform.
class Direct : public Convolution {
 public:
  Direct(const LayerFactory& factory, const dpm_node& node)
      : Convolution(factory, node),
        weights_(factory, node, in_shape_.channels, out_shape_.channels, PackedWeights::Form::kPlain) {}

 protected:
  /// Fills the parts of a tile that depend on the panel and sample only.
  [[nodiscard]] TileArguments tile_for(const PackedWeights::Panel& panel, const Epilogue& epilogue, int n) const {
    TileArguments tile{};
    tile.depth = in_shape_.channels;
    tile.panel = panel.data;
    tile.vectors = panel.vectors;
    tile.output.columns = panel.columns;
    tile.output.bias = epilogue.bias != nullptr ? epilogue.bias + panel.first : nullptr;
    if (epilogue.channel_vector) tile.output.channel_vector = epilogue.channel_vector->sample(n) + panel.first;
    tile.output.scale = attributes_.scale;
    tile.output.silu = attributes_.silu != 0;
    return tile;
  }

  PackedWeights weights_;
};

class Product : public Direct {
 public:
  using Direct::Direct;

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    const Epilogue operands = epilogue(context);
    // Pixels of all samples are one sequence, unless an operand belongs to a sample.
    const bool joined = !operands.channel_vector && out.channel_stride == 1;
    const int sequences = joined ? 1 : context.batch;
    const int rows = joined ? context.batch * in.pixels() : in.pixels();
    const int block = context.device.isa.rows * 8;
    const int blocks = divide_up(rows, block);
    const int groups = panel_groups(context, sequences * blocks);
    context.pool.parallel_for(static_cast<std::int64_t>(sequences) * blocks * groups,
                              [&](std::int64_t task, int /*thread*/) {
                                const auto index = static_cast<int>(task);
                                const int n = index / (blocks * groups);
                                const Range range = part_of(rows, blocks, index / groups % blocks);
                                const Range panels = part_of(weights_.panels(), groups, index % groups);
                                run_block(context, in, out, operands, n, range, panels);
                              });
  }

 private:
  [[nodiscard]] int panel_groups(const RunContext& context, int tasks) const {
    const int wanted = divide_up(kTasksPerThread * context.pool.threads(), std::max(tasks, 1));
    return std::clamp(wanted, 1, weights_.panels());
  }

  void run_block(const RunContext& context, const MapView& in, const MapView& out, const Epilogue& operands, int n,
                 Range rows, Range panels) const {
    const std::ptrdiff_t origin = 0;
    for (int p = panels.first; p < panels.last; ++p) {
      const PackedWeights::Panel panel = weights_.panel(p);
      TileArguments tile = tile_for(panel, operands, n);
      tile.taps = &origin;
      tile.tap_count = 1;
      tile.row_stride = in.pixel_stride;
      tile.output.out_row_stride = out.pixel_stride;
      tile.output.out_channel_stride = out.channel_stride;
      for_even_parts(rows, context.device.isa.rows, [&](std::ptrdiff_t row, int count) {
        tile.output.rows = count;
        tile.input = in.sample(n) + row * in.pixel_stride;
        tile.output.out = out.sample(n) + row * out.pixel_stride + panel.first * out.channel_stride;
        if (operands.residual) {
          tile.output.residual = operands.residual->sample(n) + row * operands.residual->pixel_stride + panel.first;
          tile.output.residual_row_stride = operands.residual->pixel_stride;
        }
        context.device.isa.tile(tile);
      });
    }
  }
};

class Banded : public Direct {
 public:
  Banded(const LayerFactory& factory, const dpm_node& node) : Direct(factory, node) {
    padded_width_ = (out_shape_.width - 1) * attributes_.stride + attributes_.kernel;
    for (int y = 0; y < attributes_.kernel; ++y) {
      for (int x = 0; x < attributes_.kernel; ++x) {
        taps_.push_back((static_cast<std::ptrdiff_t>(y) * padded_width_ + x) * in_shape_.channels);
      }
    }
  }

  [[nodiscard]] std::size_t scratch(int batch, int threads) const override {
    const int rows = divide_up(out_shape_.height, bands(batch, threads));
    return static_cast<std::size_t>(threads) * band_floats(rows);
  }

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    const Epilogue operands = epilogue(context);
    const int threads = context.pool.threads();
    // Scratch memory was sized for the planned batch, whose bands are no smaller.
    const int band_count = bands(context.planned_batch, threads);
    const std::size_t stride = band_floats(divide_up(out_shape_.height, band_count));
    const int tasks = context.batch * band_count;
    const int groups = std::clamp(divide_up(kTasksPerThread * threads, tasks), 1, weights_.panels());
    context.pool.parallel_for(static_cast<std::int64_t>(tasks) * groups, [&](std::int64_t task, int thread) {
      const auto index = static_cast<int>(task);
      const int n = index / (band_count * groups);
      const Range rows = part_of(out_shape_.height, band_count, index / groups % band_count);
      float* band = context.scratch + static_cast<std::size_t>(thread) * stride;
      lay_out(in, n, rows, band);
      const Range panels = part_of(weights_.panels(), groups, index % groups);
      for (int p = panels.first; p < panels.last; ++p) run_panel(context, out, operands, n, rows, band, p);
    });
  }

 private:
  [[nodiscard]] std::size_t band_floats(int rows) const {
    const std::int64_t height = static_cast<std::int64_t>(rows - 1) * attributes_.stride + attributes_.kernel;
    const std::int64_t floats = height * padded_width_ * in_shape_.channels;
    return static_cast<std::size_t>((floats + 15) / 16 * 16);
  }

  /// Number of bands of one image: as the cache requires, and enough to occupy the threads.
  [[nodiscard]] int bands(int batch, int threads) const {
    const std::int64_t row = static_cast<std::int64_t>(padded_width_) * in_shape_.channels * attributes_.stride;
    const int cached = std::max<int>(1, static_cast<int>(kBandFloats / row));
    const int for_cache = divide_up(out_shape_.height, cached);
    const int for_threads = divide_up(2 * threads, batch * weights_.panels());
    return std::clamp(std::max(for_cache, for_threads), 1, out_shape_.height);
  }

  /// Copies the input rows under output rows `rows`, with zeros outside the map.
  void lay_out(const MapView& in, int n, Range rows, float* band) const {
    const int zoom = attributes_.upsample != 0 ? 2 : 1;
    const int height = in.height * zoom;
    const int width = in.width * zoom;
    const int channels = in.channels;
    const int first = rows.first * attributes_.stride - attributes_.pad_before;
    const int count = (rows.last - rows.first - 1) * attributes_.stride + attributes_.kernel;
    const bool whole = zoom == 1 && in.channel_stride == 1 && in.pixel_stride == channels;
    const int left = std::min(attributes_.pad_before, padded_width_);
    const int inside = std::min(width, padded_width_ - left);
    for (int row = 0; row < count; ++row) {
      const int y = first + row;
      if (whole && y >= 0 && y < height) {
        const float* source = in.sample(n) + static_cast<std::ptrdiff_t>(y) * width * channels;
        band = std::fill_n(band, left * channels, 0.0F);
        band = std::copy_n(source, inside * channels, band);
        band = std::fill_n(band, (padded_width_ - left - inside) * channels, 0.0F);
        continue;
      }
      for (int column = 0; column < padded_width_; ++column, band += channels) {
        const int x = column - attributes_.pad_before;
        if (y < 0 || y >= height || x < 0 || x >= width) {
          std::fill_n(band, channels, 0.0F);
          continue;
        }
        const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(y / zoom) * in.width + x / zoom;
        const float* source = in.sample(n) + pixel * in.pixel_stride;
        if (in.channel_stride == 1) {
          std::copy_n(source, channels, band);
        } else {
          for (int c = 0; c < channels; ++c) band[c] = source[c * in.channel_stride];
        }
      }
    }
  }

  void run_panel(const RunContext& context, const MapView& out, const Epilogue& operands, int n, Range rows,
                 const float* band, int index) const {
    const PackedWeights::Panel panel = weights_.panel(index);
    TileArguments tile = tile_for(panel, operands, n);
    tile.taps = taps_.data();
    tile.tap_count = static_cast<int>(taps_.size());
    tile.row_stride = static_cast<std::ptrdiff_t>(attributes_.stride) * in_shape_.channels;
    tile.output.out_row_stride = out.pixel_stride;
    tile.output.out_channel_stride = out.channel_stride;
    for (int y = rows.first; y < rows.last; ++y) {
      const std::ptrdiff_t band_row = static_cast<std::ptrdiff_t>(y - rows.first) * attributes_.stride * padded_width_;
      for_even_parts({0, out.width}, context.device.isa.rows, [&](std::ptrdiff_t x, int count) {
        const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(y) * out.width + x;
        tile.output.rows = count;
        tile.input = band + (band_row + x * attributes_.stride) * in_shape_.channels;
        tile.output.out = out.sample(n) + pixel * out.pixel_stride + panel.first * out.channel_stride;
        if (operands.residual) {
          tile.output.residual = operands.residual->sample(n) + pixel * operands.residual->pixel_stride + panel.first;
          tile.output.residual_row_stride = operands.residual->pixel_stride;
        }
        context.device.isa.tile(tile);
      });
    }
  }

  int padded_width_ = 0;
  std::vector<std::ptrdiff_t> taps_;
};

}  // namespace

std::unique_ptr<Layer> make_convolution(const LayerFactory& factory, const dpm_node& node) {
  if (prefers_bf16(factory, node)) return make_bf16_convolution(factory, node);
  if (convolution_of(node).kernel == 1) return std::make_unique<Product>(factory, node);
  if (factory.by_winograd(node)) return make_winograd(factory, node);
  return std::make_unique<Banded>(factory, node);
}

}  // namespace dpm::cpu
