// 3x3 convolutions by Winograd's algorithm F(4x4, 3x3): 36 products of small matrices instead of 144 multiplications
// per 4 x 4 pixels, a quarter of the arithmetic. Pixels and sums are transformed before and after.
#include <algorithm>

#include "backend/bindings.h"
#include "devices/cpu/layers/convolution.h"
#include "devices/cpu/layers/packed_weights.h"

namespace dpm::cpu {
namespace {

constexpr int kComponents = 36;
constexpr int kTile = 4;
constexpr int kLineFloats = 16;
// Block size, chosen so that operands stay near the cores: in the cache of one core where there are enough blocks, else
// in the shared cache.
constexpr int kRowsPerThread = 2;
constexpr std::int64_t kBlockFloats = std::int64_t{1} << 20;
// Limits: with fewer tiles in an image, reading the larger weights costs more than the arithmetic saved; with fewer
// channels, the transforms do.
constexpr int kLeastTiles = 4;
constexpr int kLeastChannels = 64;

std::uint64_t weight_bytes(const dpm_value& in, const dpm_value& out) {
  return std::uint64_t{kComponents} * sizeof(float) * static_cast<std::uint64_t>(in.channels) *
         static_cast<std::uint64_t>(out.channels);
}

class Winograd : public Convolution {
 public:
  Winograd(const LayerFactory& factory, const dpm_node& node)
      : Convolution(factory, node),
        weights_(factory, node, in_shape_.channels, out_shape_.channels, PackedWeights::Form::kWinograd),
        tiles_across_(divide_up(out_shape_.width, kTile)),
        image_tiles_(tiles_across_ * divide_up(out_shape_.height, kTile)) {
    const std::int64_t widest = std::max(in_shape_.channels, out_shape_.channels);
    thread_tiles_ = kRowsPerThread * factory.device.isa.rows;
    block_tiles_ = std::max(factory.device.isa.rows, static_cast<int>(kBlockFloats / (kComponents * widest)));
    zeros_ = AlignedBuffer(static_cast<std::size_t>(in_shape_.channels) * sizeof(float));
    std::fill_n(zeros_.floats(), in_shape_.channels, 0.0F);
  }

  [[nodiscard]] std::size_t scratch(int batch, int threads) const override {
    const int tiles = batch * image_tiles_;
    return std::max(
        block_floats(std::min(block_tiles_, tiles)),
        shared_by_blocks(tiles, threads) ? block_floats(thread_tiles_) * static_cast<std::size_t>(threads) : 0);
  }

  void run(const RunContext& context) const override {
    const Maps maps{context.map(operands_.input(0)), context.map(operands_.output()), epilogue(context)};
    // Tiles of all samples are one sequence, because no tile depends on its neighbours.
    const int tiles = context.batch * image_tiles_;
    ThreadPool& pool = context.pool;
    if (shared_by_blocks(tiles, pool.threads())) {
      const int blocks = divide_up(tiles, thread_tiles_);
      pool.parallel_for(blocks, [&](std::int64_t b, int thread) {
        const auto alone = [](std::int64_t count, const auto& body) {
          for (std::int64_t i = 0; i < count; ++i) body(i, 0);
        };
        run_block(context, maps, part_of(tiles, blocks, static_cast<int>(b)),
                  context.scratch + static_cast<std::size_t>(thread) * block_floats(thread_tiles_), alone);
      });
      return;
    }
    const int blocks = divide_up(tiles, block_tiles_);
    const auto together = [&](std::int64_t count, const auto& body) { pool.parallel_for(count, body); };
    for (int b = 0; b < blocks; ++b) run_block(context, maps, part_of(tiles, blocks, b), context.scratch, together);
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

  /// Stride from one component to the next, in floats: one cache line more than needed, because otherwise all 36 would
  /// compete for the same few places in the cache.
  [[nodiscard]] static std::ptrdiff_t stride_of(int tiles, const dpm_value& shape) {
    return static_cast<std::ptrdiff_t>(tiles) * shape.channels + kLineFloats;
  }
  [[nodiscard]] std::size_t block_floats(int tiles) const {
    return static_cast<std::size_t>(kComponents * (stride_of(tiles, in_shape_) + stride_of(tiles, out_shape_)));
  }
  /// Returns whether there are enough tiles for every thread to work on blocks of its own, which stay in its cache.
  [[nodiscard]] bool shared_by_blocks(int tiles, int threads) const { return tiles >= 2 * threads * thread_tiles_; }

  /// Transforms and multiplies a block; `loop(count, body)` calls body for each number below count, on this thread or
  /// on all.
  template <typename Loop>
  void run_block(const RunContext& context, const Maps& maps, Range tiles, float* operands, const Loop& loop) const {
    const int count = tiles.last - tiles.first;
    float* products = operands + kComponents * stride_of(count, in_shape_);
    loop(count, [&](std::int64_t i, int /*thread*/) {
      const auto tile = static_cast<int>(i);
      load_tile(context, maps.in, place_of(tiles.first + tile), operands + i * in_shape_.channels, count);
    });
    loop(static_cast<std::int64_t>(kComponents) * weights_.panels(), [&](std::int64_t i, int /*thread*/) {
      multiply(context, static_cast<int>(i / weights_.panels()), static_cast<int>(i % weights_.panels()), count,
               operands, products);
    });
    loop(count, [&](std::int64_t i, int /*thread*/) {
      const auto tile = static_cast<int>(i);
      store_tile(context, maps, place_of(tiles.first + tile), products + i * out_shape_.channels, count);
    });
  }

  void load_tile(const RunContext& context, const MapView& in, const Place& place, float* operands, int count) const {
    const int zoom = attributes_.upsample != 0 ? 2 : 1;
    const float* pixels[kComponents];
    for (int i = 0; i < kComponents; ++i) {
      const int y = place.y + i / 6 - 1;
      const int x = place.x + i % 6 - 1;
      const bool inside = y >= 0 && y < in.height * zoom && x >= 0 && x < in.width * zoom;
      const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(y / zoom) * in.width + x / zoom;
      pixels[i] = inside ? in.sample(place.n) + pixel * in.pixel_stride : zeros_.floats();
    }
    context.device.isa.winograd_input(pixels, in_shape_.channels, operands, stride_of(count, in_shape_));
  }

  /// Multiplies one component of one panel of output channels for all tiles of the block.
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
    const float* input = operands + component * stride_of(count, in_shape_);
    float* out = products + component * stride_of(count, out_shape_) + panel.first;
    for_even_parts({0, count}, context.device.isa.rows, [&](int first, int rows) {
      tile.output.rows = rows;
      tile.input = input + static_cast<std::ptrdiff_t>(first) * in_shape_.channels;
      tile.output.out = out + static_cast<std::ptrdiff_t>(first) * out_shape_.channels;
      context.device.isa.tile(tile);
    });
  }

  void store_tile(const RunContext& context, const Maps& maps, const Place& place, const float* products,
                  int count) const {
    WinogradOutput target{};
    target.products = products;
    target.component_stride = stride_of(count, out_shape_);
    target.channels = out_shape_.channels;
    target.bias = maps.operands.bias;
    if (maps.operands.channel_vector) target.channel_vector = maps.operands.channel_vector->sample(place.n);
    target.scale = attributes_.scale;
    target.silu = attributes_.silu != 0;
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
  AlignedBuffer zeros_;
  int tiles_across_;
  int image_tiles_;
  int block_tiles_ = 0;   ///< tiles of a block that all threads work on
  int thread_tiles_ = 0;  ///< tiles of a block that one thread works on
};

}  // namespace

bool suits_winograd(const Device& device, const dpm_node& node, const dpm_value& in, const dpm_value& out) {
  if (device.exact) return false;
  const dpm_convolution_attributes& how = convolution_of(node);
  const int width = device.isa.width;
  const int tiles = divide_up(out.height, kTile) * divide_up(out.width, kTile);
  return how.kernel == 3 && how.stride == 1 && how.pad_before == 1 && how.pad_after == 1 && !is_bound(in) &&
         !is_bound(out) && in.channels % width == 0 && out.channels % width == 0 && tiles >= kLeastTiles &&
         in.channels >= kLeastChannels && out.channels >= kLeastChannels;
}

std::vector<bool> choose_winograd(const Device& device, const dpm_graph& graph, std::uint64_t bytes) {
  struct Candidate {
    std::uint32_t node;
    int pixels;
    std::uint64_t bytes;
  };
  std::vector<Candidate> candidates;
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    const dpm_node& node = graph.nodes[i];
    if (node.op != DPM_OP_CONVOLUTION) continue;
    const dpm_value& in = graph.values[input_of(node, 0)];
    const dpm_value& out = graph.values[output_of(node)];
    if (suits_winograd(device, node, in, out)) {
      candidates.push_back({i, out.height * out.width, weight_bytes(in, out)});
    }
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.pixels != b.pixels ? a.pixels > b.pixels : a.node < b.node;
  });
  std::vector<bool> chosen(graph.node_count, false);
  for (const Candidate& candidate : candidates) {
    if (candidate.bytes > bytes) continue;
    bytes -= candidate.bytes;
    chosen[candidate.node] = true;
  }
  return chosen;
}

std::unique_ptr<Layer> make_winograd(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<Winograd>(factory, node);
}

}  // namespace dpm::cpu
