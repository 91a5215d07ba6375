// 3x3 convolutions by Winograd's algorithm F(4x4, 3x3): 36 products of small matrices instead of 144 multiplications
// per 4 x 4 pixels, a quarter of the arithmetic. Pixels and sums are transformed on the way in and out.
#include "cpu/layers/convolution.h"
#include "cpu/layers/packed_weights.h"

namespace dpm::cpu {
namespace {

constexpr int kComponents = 36;
constexpr int kTile = 4;
// Operands of one block of tiles stay near the cores.
constexpr std::int64_t kBlockFloats = std::int64_t{1} << 20;
// With fewer tiles in an image, reading the larger weights costs more than the arithmetic saved; with fewer channels,
// the transforms do.
constexpr int kLeastTiles = 12;
constexpr int kLeastChannels = 64;

/// G g G^T of one kernel, in double.
void transform_kernel(const float* kernel, int /*count*/, float* taps) {
  constexpr double kG[6][3] = {{1.0 / 4, 0, 0},
                               {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                               {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                               {1.0 / 24, 1.0 / 12, 1.0 / 6},
                               {1.0 / 24, -1.0 / 12, 1.0 / 6},
                               {0, 0, 1}};
  double rows[6][3];
  for (int i = 0; i < 6; ++i) {
    for (int x = 0; x < 3; ++x) {
      rows[i][x] = kG[i][0] * kernel[x] + kG[i][1] * kernel[3 + x] + kG[i][2] * kernel[6 + x];
    }
  }
  for (int i = 0; i < 6; ++i) {
    for (int j = 0; j < 6; ++j) {
      taps[i * 6 + j] = static_cast<float>(rows[i][0] * kG[j][0] + rows[i][1] * kG[j][1] + rows[i][2] * kG[j][2]);
    }
  }
}

std::uint64_t weight_bytes(const dpm_value& in, const dpm_value& out) {
  return std::uint64_t{kComponents} * sizeof(float) * static_cast<std::uint64_t>(in.channels) *
         static_cast<std::uint64_t>(out.channels);
}

class Winograd : public Convolution {
 public:
  Winograd(const LayerFactory& factory, const dpm_node& node)
      : Convolution(factory, node),
        weights_(factory, node, in_shape_.channels, out_shape_.channels, {kComponents, transform_kernel}),
        tiles_across_(divide_up(out_shape_.width, kTile)),
        image_tiles_(tiles_across_ * divide_up(out_shape_.height, kTile)) {
    factory.winograd_bytes -= weight_bytes(in_shape_, out_shape_);
    const std::int64_t widest = std::max(in_shape_.channels, out_shape_.channels);
    block_tiles_ = std::max(factory.device.isa.rows, static_cast<int>(kBlockFloats / (kComponents * widest)));
    zeros_ = CountedBuffer(factory.device.memory, static_cast<std::size_t>(in_shape_.channels) * sizeof(float));
    std::fill_n(zeros_.floats(), in_shape_.channels, 0.0F);
  }

  [[nodiscard]] std::size_t scratch(int batch, int /*threads*/) const override {
    return static_cast<std::size_t>(std::min(block_tiles_, batch * image_tiles_)) * kComponents *
           static_cast<std::size_t>(in_shape_.channels + out_shape_.channels);
  }

  void run(const RunContext& context) const override {
    const Maps maps{context.map(node_.inputs[0]), context.map(node_.output), epilogue(context)};
    // Tiles of all samples are one sequence: none depends on its neighbours.
    const int tiles = context.batch * image_tiles_;
    const int blocks = divide_up(tiles, block_tiles_);
    for (int b = 0; b < blocks; ++b) run_block(context, maps, part_of(tiles, blocks, b));
  }

 private:
  struct Maps {
    MapView in;
    MapView out;
    Epilogue operands;
  };
  /// A tile of an image, by its first pixel.
  struct Place {
    int n;
    int y;
    int x;
  };

  [[nodiscard]] Place place_of(int tile) const {
    const int inside = tile % image_tiles_;
    return {tile / image_tiles_, inside / tiles_across_ * kTile, inside % tiles_across_ * kTile};
  }

  void run_block(const RunContext& context, const Maps& maps, Range tiles) const {
    const int count = tiles.last - tiles.first;
    float* operands = context.scratch;
    float* products = operands + static_cast<std::ptrdiff_t>(kComponents) * count * in_shape_.channels;
    ThreadPool& pool = context.device.pool;
    pool.parallel_for(count, [&](std::int64_t i, int /*thread*/) {
      const auto tile = static_cast<int>(i);
      load_tile(context, maps.in, place_of(tiles.first + tile), operands + i * in_shape_.channels, count);
    });
    pool.parallel_for(static_cast<std::int64_t>(kComponents) * weights_.panels(), [&](std::int64_t i, int /*thread*/) {
      multiply(context, static_cast<int>(i % kComponents), static_cast<int>(i / kComponents), count, operands,
               products);
    });
    pool.parallel_for(count, [&](std::int64_t i, int /*thread*/) {
      const auto tile = static_cast<int>(i);
      store_tile(context, maps, place_of(tiles.first + tile), products + i * out_shape_.channels, count);
    });
  }

  void load_tile(const RunContext& context, const MapView& in, const Place& place, float* operands, int count) const {
    const int zoom = node_.upsample != 0 ? 2 : 1;
    const float* pixels[kComponents];
    for (int i = 0; i < kComponents; ++i) {
      const int y = place.y + i / 6 - 1;
      const int x = place.x + i % 6 - 1;
      const bool inside = y >= 0 && y < in.height * zoom && x >= 0 && x < in.width * zoom;
      const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(y / zoom) * in.width + x / zoom;
      pixels[i] = inside ? in.sample(place.n) + pixel * in.pixel_stride : zeros_.floats();
    }
    context.device.isa.winograd_input(pixels, in_shape_.channels, operands,
                                      static_cast<std::ptrdiff_t>(count) * in_shape_.channels);
  }

  /// One component of one panel of output channels for all tiles of the block.
  void multiply(const RunContext& context, int component, int index, int count, const float* operands,
                float* products) const {
    const PackedWeights::Panel panel = weights_.panel(index);
    const std::ptrdiff_t origin = 0;
    TileArguments tile{};
    tile.taps = &origin;
    tile.tap_count = 1;
    tile.depth = in_shape_.channels;
    tile.row_stride = in_shape_.channels;
    tile.panel = panel.data +
                 static_cast<std::ptrdiff_t>(component) * in_shape_.channels * panel.vectors * context.device.isa.width;
    tile.vectors = panel.vectors;
    tile.output.columns = panel.columns;
    tile.output.scale = 1;
    tile.output.out_row_stride = out_shape_.channels;
    tile.output.out_channel_stride = 1;
    const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(component) * count;
    const int parts = divide_up(count, context.device.isa.rows);
    for (int t = 0; t < parts; ++t) {
      const Range rows = part_of(count, parts, t);
      tile.output.rows = rows.last - rows.first;
      tile.input = operands + (first + rows.first) * in_shape_.channels;
      tile.output.out = products + (first + rows.first) * out_shape_.channels + panel.first;
      context.device.isa.tile(tile);
    }
  }

  void store_tile(const RunContext& context, const Maps& maps, const Place& place, const float* products,
                  int count) const {
    WinogradOutput target{};
    target.products = products;
    target.component_stride = static_cast<std::ptrdiff_t>(count) * out_shape_.channels;
    target.channels = out_shape_.channels;
    target.bias = maps.operands.bias;
    if (maps.operands.channel_vector) target.channel_vector = maps.operands.channel_vector->sample(place.n);
    target.scale = node_.scale;
    target.silu = node_.silu != 0;
    for (int i = 0; i < kTile * kTile; ++i) {
      const int y = place.y + i / kTile;
      const int x = place.x + i % kTile;
      if (y >= maps.out.height || x >= maps.out.width) continue;
      const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(y) * maps.out.width + x;
      target.out[i] = maps.out.sample(place.n) + pixel * maps.out.pixel_stride;
      if (!maps.operands.residual) continue;
      const MapView& residual = *maps.operands.residual;
      target.residual[i] = residual.sample(place.n) + pixel * residual.pixel_stride;
    }
    context.device.isa.winograd_output(target);
  }

  PackedWeights weights_;
  CountedBuffer zeros_;
  int tiles_across_;
  int image_tiles_;
  int block_tiles_ = 0;
};

}  // namespace

bool prefers_winograd(const LayerFactory& factory, const dpm_node& node) {
  const dpm_value& in = factory.values[node.inputs[0]].shape;
  const dpm_value& out = factory.values[node.output].shape;
  const int width = factory.device.isa.width;
  const bool fits = node.kernel == 3 && node.stride == 1 && node.pad_before == 1 && node.pad_after == 1 &&
                    in.role == DPM_ROLE_INTERNAL && out.role == DPM_ROLE_INTERNAL && in.channels % width == 0 &&
                    out.channels % width == 0;
  const int tiles = divide_up(out.height, kTile) * divide_up(out.width, kTile);
  return fits && !factory.device.exact && tiles >= kLeastTiles && in.channels >= kLeastChannels &&
         out.channels >= kLeastChannels && weight_bytes(in, out) <= factory.winograd_bytes;
}

std::unique_ptr<Layer> make_winograd(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<Winograd>(factory, node);
}

}  // namespace dpm::cpu
