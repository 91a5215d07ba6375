// Gradients of the weights of 3x3 convolutions by Winograd's algorithm F(4x4, 3x3): the adjoint of the forward pass by
// the kernel, G^T [sum over tiles of (A d A^T) (B^T x B)] G with the forward pass's A, B and G. The sum is 36 products
// [input channels x tiles] by [tiles x output channels], a quarter of the direct multiplications. Ownership and order
// of sums are as in convolution_weights.cc.
#include <algorithm>

#include "devices/cpu/layers/convolution.h"

namespace dpm::cpu {
namespace {

constexpr int kComponents = 36;
constexpr int kTile = 4;
constexpr int kTaps = 9;
/// Number of floats between components beyond what they need, because otherwise all would compete for the same places
/// in the cache.
constexpr int kLineFloats = 16;
/// Number of channels of a block, on either side.
constexpr int kBlockChannels = 128;
/// Number of tiles of a chunk.
constexpr int kChunkTiles = 64;
/// Number of tasks that are enough for any processor; each group of chunks has partial sums four times as large as the
/// weights.
constexpr int kTasks = 8;

class WinogradWeights : public Layer {
 public:
  WinogradWeights(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        in_(factory.values[input_of(node, 0)].shape),
        out_(factory.values[input_of(node, 1)].shape),
        width_(factory.device.isa.width),
        tiles_across_(divide_up(out_.width, kTile)),
        image_tiles_(tiles_across_ * divide_up(out_.height, kTile)),
        zeros_(static_cast<std::size_t>(std::max(in_.channels, out_.channels)) * sizeof(float)) {
    std::fill_n(zeros_.floats(), std::max(in_.channels, out_.channels), 0.0F);
  }

  [[nodiscard]] std::size_t scratch(int batch, int threads) const override {
    return static_cast<std::size_t>(groups(batch)) * partial_floats() +
           static_cast<std::size_t>(threads) * own_floats();
  }

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView d = context.map(operands_.input(1));
    const int parts = groups(context.batch);
    const int across = blocks(in_) * blocks(out_);
    context.pool.parallel_for(static_cast<std::int64_t>(across) * parts, [&](std::int64_t task, int thread) {
      const int block = static_cast<int>(task) / parts;
      const int part = static_cast<int>(task) % parts;
      const Task own{block_of(in_, block / blocks(out_)), block_of(out_, block % blocks(out_)),
                     part_of(chunks(context.batch), parts, part),
                     context.scratch + static_cast<std::size_t>(part) * partial_floats(),
                     context.scratch + static_cast<std::size_t>(groups(context.planned_batch)) * partial_floats() +
                         static_cast<std::size_t>(thread) * own_floats()};
      for (int chunk = own.chunks.first; chunk < own.chunks.last; ++chunk) run_chunk(context, in, d, own, chunk);
    });
    add_up(context, parts);
  }

 private:
  /// A block of channels over some chunks of tiles.
  struct Task {
    Range inputs;
    Range outputs;
    Range chunks;
    float* partial;  ///< sums [component][input channel][output channel]
    float* own;      ///< memory of the thread
  };

  [[nodiscard]] static int blocks(const dpm_value& shape) { return divide_up(shape.channels, kBlockChannels); }
  /// Returns a block of whole vectors of channels.
  [[nodiscard]] Range block_of(const dpm_value& shape, int index) const {
    const Range vectors = part_of(shape.channels / width_, blocks(shape), index);
    return {vectors.first * width_, vectors.last * width_};
  }
  [[nodiscard]] int chunks(int batch) const { return divide_up(batch * image_tiles_, kChunkTiles); }
  [[nodiscard]] int groups(int batch) const {
    return std::clamp(divide_up(kTasks, blocks(in_) * blocks(out_)), 1, chunks(batch));
  }
  [[nodiscard]] std::ptrdiff_t component_floats() const {
    return static_cast<std::ptrdiff_t>(in_.channels) * out_.channels + kLineFloats;
  }
  [[nodiscard]] std::size_t partial_floats() const {
    return static_cast<std::size_t>(kComponents * component_floats());
  }
  /// Number of floats from one component of a chunk's tiles to the next, on either side.
  [[nodiscard]] static std::ptrdiff_t operand_stride() {
    return std::ptrdiff_t{kChunkTiles} * kBlockChannels + kLineFloats;
  }
  [[nodiscard]] static std::size_t own_floats() { return static_cast<std::size_t>(2 * kComponents * operand_stride()); }

  void run_chunk(const RunContext& context, const MapView& in, const MapView& d, const Task& task, int chunk) const {
    const Range tiles{chunk * kChunkTiles, std::min((chunk + 1) * kChunkTiles, context.batch * image_tiles_)};
    float* map = task.own;
    float* cotangent = task.own + kComponents * operand_stride();
    for (int tile = tiles.first; tile < tiles.last; ++tile) {
      const std::ptrdiff_t place = static_cast<std::ptrdiff_t>(tile - tiles.first);
      load_map(context, in, tile, task.inputs, map + place * count(task.inputs));
      load_cotangent(context, d, tile, task.outputs, cotangent + place * count(task.outputs));
    }
    OuterProduct product{};
    product.depth = tiles.last - tiles.first;
    product.x_stride = count(task.inputs);
    product.y_stride = count(task.outputs);
    product.sums_stride = out_.channels;
    product.adds = chunk > task.chunks.first;
    for (int component = 0; component < kComponents; ++component) {
      for (int o = task.outputs.first; o < task.outputs.last; o += 2 * width_) {
        product.vectors = task.outputs.last - o > width_ ? 2 : 1;
        product.y = cotangent + component * operand_stride() + (o - task.outputs.first);
        for_even_parts(task.inputs, context.device.isa.rows, [&](int i, int count) {
          product.rows = count;
          product.x = map + component * operand_stride() + (i - task.inputs.first);
          product.sums =
              task.partial + component * component_floats() + static_cast<std::ptrdiff_t>(i) * out_.channels + o;
          context.device.isa.outer_product(product);
        });
      }
    }
  }

  [[nodiscard]] static int count(Range range) { return range.last - range.first; }

  /// Returns the first channel of a block at pixel (y, x), or zeros outside the map.
  [[nodiscard]] const float* pixel_at(const MapView& view, int n, int y, int x, Range channels) const {
    if (y < 0 || y >= view.height || x < 0 || x >= view.width) return zeros_.floats();
    return view.sample(n) + (static_cast<std::ptrdiff_t>(y) * view.width + x) * view.pixel_stride + channels.first;
  }

  void load_map(const RunContext& context, const MapView& in, int tile, Range channels, float* to) const {
    const int inside = tile % image_tiles_;
    const float* pixels[kComponents];
    for (int i = 0; i < kComponents; ++i) {
      pixels[i] = pixel_at(in, tile / image_tiles_, inside / tiles_across_ * kTile + i / 6 - 1,
                           inside % tiles_across_ * kTile + i % 6 - 1, channels);
    }
    context.device.isa.winograd_input(pixels, count(channels), to, operand_stride());
  }

  void load_cotangent(const RunContext& context, const MapView& d, int tile, Range channels, float* to) const {
    const int inside = tile % image_tiles_;
    const float* pixels[kTile * kTile];
    for (int i = 0; i < kTile * kTile; ++i) {
      pixels[i] = pixel_at(d, tile / image_tiles_, inside / tiles_across_ * kTile + i / kTile,
                           inside % tiles_across_ * kTile + i % kTile, channels);
    }
    context.device.isa.winograd_cotangent(pixels, count(channels), to, operand_stride());
  }

  /// Adds the sums of all groups, in their order, transforms them and adds the result to the caller's tensor.
  void add_up(const RunContext& context, int parts) const {
    float* gradient = context.map(operands_.output()).data;
    context.pool.parallel_for(in_.channels, [&](std::int64_t i, int /*thread*/) {
      float taps[kTaps * kMostWidth];
      for (int o = 0; o < out_.channels; o += width_) {
        const float* sums = context.scratch + i * out_.channels + o;
        context.device.isa.winograd_gradient(sums, component_floats(), parts,
                                             static_cast<std::ptrdiff_t>(partial_floats()), taps);
        for (int c = 0; c < width_; ++c) {
          float* to = gradient + (static_cast<std::ptrdiff_t>(o + c) * in_.channels + i) * kTaps;
          for (int tap = 0; tap < kTaps; ++tap) to[tap] += taps[tap * width_ + c];
        }
      }
    });
  }

  Operands operands_;
  dpm_value in_;
  dpm_value out_;
  int width_;
  int tiles_across_;
  int image_tiles_;
  AlignedBuffer zeros_;
};

}  // namespace

std::unique_ptr<Layer> make_winograd_weights(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<WinogradWeights>(factory, node);
}

}  // namespace dpm::cpu
