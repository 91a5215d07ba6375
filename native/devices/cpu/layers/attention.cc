// Attention: keys and values are laid out as panels, then every block of queries goes over blocks of keys: logits,
// their exponentials below the largest logit so far, and the weighted values, by the product's tiles. The largest logit
// and the sum are kept per query (Milakov & Gimelshein 2018), so that no row of logits is longer than a block.
#include "devices/cpu/layers/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace dpm::cpu {
namespace {

// A block's logits and a panel of keys stay in a core's cache.
constexpr int kBlockKeys = 512;
constexpr int kBlockQueries = 64;
// Number of tasks a thread, so that none waits long for the last.
constexpr int kTasks = 4;

class Attention : public Layer {
 public:
  Attention(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        heads_(attention_of(node).heads),
        causal_(attention_of(node).causal != 0),
        width_(factory.device.isa.width),
        rows_(factory.device.isa.rows) {
    const auto tokens = [&](int value) {
      const dpm_value& shape = factory.values[value].shape;
      return shape.height * shape.width;
    };
    queries_ = tokens(output_of(node));
    keys_ = tokens(input_of(node, 1));
    head_channels_ = factory.values[output_of(node)].shape.channels / heads_;
  }

  [[nodiscard]] std::size_t scratch(int batch, int threads) const override {
    return static_cast<std::size_t>(batch * heads_) * 2 * head_floats() +
           static_cast<std::size_t>(threads) * block_floats();
  }

  void run(const RunContext& context) const override {
    ThreadPool& pool = context.pool;
    const int units = context.batch * heads_;
    const int key_panels = divide_up(keys_, panel());
    const int value_panels = divide_up(head_channels_, panel());
    pool.parallel_for(static_cast<std::int64_t>(units) * (key_panels + value_panels),
                      [&](std::int64_t task, int /*thread*/) {
                        const auto unit = static_cast<int>(task / (key_panels + value_panels));
                        const auto index = static_cast<int>(task % (key_panels + value_panels));
                        if (index < key_panels) {
                          pack_keys(context, unit, index);
                        } else {
                          pack_values(context, unit, index - key_panels);
                        }
                      });
    const int step = block_queries(units, pool.threads());
    const int blocks = divide_up(queries_, step);
    pool.parallel_for(static_cast<std::int64_t>(units) * blocks, [&](std::int64_t task, int thread) {
      const int first = static_cast<int>(task % blocks) * step;
      attend(context, static_cast<int>(task / blocks), {first, std::min(queries_, first + step)}, thread);
    });
  }

 private:
  [[nodiscard]] int panel() const { return 2 * width_; }
  [[nodiscard]] int padded(int columns) const { return divide_up(columns, panel()) * panel(); }
  [[nodiscard]] int most_queries() const { return kBlockQueries / rows_ * rows_; }
  [[nodiscard]] int most_keys() const { return std::min(kBlockKeys, padded(keys_)); }

  /// Returns the number of queries of a task: a multiple of a tile's, fewer where there would be too few tasks.
  [[nodiscard]] int block_queries(int units, int threads) const {
    const std::int64_t tiles = static_cast<std::int64_t>(units) * divide_up(queries_, rows_);
    const std::int64_t wanted = tiles / (static_cast<std::int64_t>(threads) * kTasks);
    return static_cast<int>(std::clamp<std::int64_t>(wanted, 1, kBlockQueries / rows_)) * rows_;
  }

  [[nodiscard]] std::size_t head_floats() const {
    const std::size_t keys = static_cast<std::size_t>(padded(keys_)) * static_cast<std::size_t>(head_channels_);
    return std::max(keys, static_cast<std::size_t>(padded(head_channels_)) * static_cast<std::size_t>(keys_));
  }
  /// Number of floats of a thread: a block's logits, its weighted values, and the state of each query's softmax.
  [[nodiscard]] std::size_t block_floats() const {
    constexpr std::size_t kState = sizeof(RunningSoftmax) / sizeof(float);
    return static_cast<std::size_t>(most_queries()) *
           (static_cast<std::size_t>(most_keys() + padded(head_channels_)) + kState);
  }
  [[nodiscard]] float* keys(const RunContext& context, int unit) const {
    return context.scratch + static_cast<std::size_t>(unit) * 2 * head_floats();
  }
  [[nodiscard]] float* values(const RunContext& context, int unit) const { return keys(context, unit) + head_floats(); }

  /// Returns the first element of one sample's head in q (0), k (1) or v (2).
  [[nodiscard]] float* head(const MapView& map, int unit) const {
    return map.sample(unit / heads_) + static_cast<std::ptrdiff_t>(unit % heads_) * head_channels_;
  }

  /// Packs keys as a [head channels][tokens] operand.
  void pack_keys(const RunContext& context, int unit, int index) const {
    const MapView map = context.map(operands_.input(1));
    const float* source = head(map, unit);
    float* out = keys(context, unit) + static_cast<std::ptrdiff_t>(index) * head_channels_ * panel();
    const int first = index * panel();
    pack_token_panel(context.device.isa, source + first * map.pixel_stride, map.pixel_stride,
                     std::min(panel(), keys_ - first), head_channels_, out);
  }

  /// Packs values as a [tokens][head channels] operand.
  void pack_values(const RunContext& context, int unit, int index) const {
    const MapView map = context.map(operands_.input(2));
    const float* source = head(map, unit);
    float* out = values(context, unit) + static_cast<std::ptrdiff_t>(index) * keys_ * panel();
    const int first = index * panel();
    pack_channel_panel(context.device.isa, source + first, map.pixel_stride, keys_,
                       std::min(panel(), head_channels_ - first), out);
  }

  /// A thread's memory for a block of queries: rows of logits, rows of weighted values, and states.
  struct Block {
    Range queries;
    float* logits;
    float* sums;
    RunningSoftmax* states;

    [[nodiscard]] int rows() const { return queries.last - queries.first; }
  };

  void attend(const RunContext& context, int unit, Range queries, int thread) const {
    const int units = context.planned_batch * heads_;
    Block block{queries, keys(context, units) + static_cast<std::size_t>(thread) * block_floats(), nullptr, nullptr};
    block.sums = block.logits + static_cast<std::ptrdiff_t>(most_queries()) * most_keys();
    block.states = reinterpret_cast<RunningSoftmax*>(block.sums + static_cast<std::ptrdiff_t>(most_queries()) *
                                                                      padded(head_channels_));
    std::fill_n(block.states, block.rows(), RunningSoftmax{std::numeric_limits<float>::lowest(), 0, 1});
    const int last = causal_ ? queries.last : keys_;
    for (int first = 0; first < last; first += kBlockKeys) {
      const Range keys{first, std::min(first + kBlockKeys, last)};
      score(context, unit, block, keys);
      weigh(context, unit / heads_, block, keys);
      add_values(context, unit, block, keys);
    }
    const MapView out = context.map(operands_.output());
    for (int row = 0; row < block.rows(); ++row) {
      context.device.isa.scaled_copy(sums_of(block, row), 1.0F / block.states[row].sum,
                                     head(out, unit) + (queries.first + row) * out.pixel_stride,
                                     static_cast<std::uint64_t>(head_channels_));
    }
  }

  [[nodiscard]] float* logits_of(const Block& block, int row) const {
    return block.logits + static_cast<std::ptrdiff_t>(row) * most_keys();
  }
  [[nodiscard]] float* sums_of(const Block& block, int row) const {
    return block.sums + static_cast<std::ptrdiff_t>(row) * padded(head_channels_);
  }

  /// Multiplies the block's queries by a range of keys.
  void score(const RunContext& context, int unit, const Block& block, Range keys) const {
    const MapView q = context.map(operands_.input(0));
    TileArguments tile = product(q.pixel_stride, head_channels_, most_keys());
    tile.output.columns = panel();
    for (int first = keys.first; first < keys.last; first += panel()) {
      tile.panel = this->keys(context, unit) + static_cast<std::ptrdiff_t>(first) * head_channels_;
      multiply_rows(context, tile, block, head(q, unit) + block.queries.first * q.pixel_stride,
                    block.logits + (first - keys.first));
    }
  }

  /// Turns the logits of a range of keys into weights, 0 for keys that a query does not attend to.
  void weigh(const RunContext& context, int n, const Block& block, Range keys) const {
    const float scale = 1.0F / std::sqrt(static_cast<float>(head_channels_));
    const float* addend = operands_.input(3) < 0 ? nullptr : context.map(operands_.input(3)).sample(n) + keys.first;
    const int count = keys.last - keys.first;
    for (int row = 0; row < block.rows(); ++row) {
      float* logits = logits_of(block, row);
      const int own = causal_ ? std::clamp(block.queries.first + row + 1 - keys.first, 0, count) : count;
      RunningSoftmax& state = block.states[row];
      state.factor = 1;
      if (own > 0) context.device.isa.softmax_part(logits, own, scale, addend, state);
      std::fill_n(logits + own, count - own, 0.0F);
      if (keys.first == 0 || state.factor == 1.0F) continue;
      context.device.isa.scaled_copy(sums_of(block, row), state.factor, sums_of(block, row),
                                     static_cast<std::uint64_t>(padded(head_channels_)));
    }
  }

  /// Adds a range's weighted values to the block's sums.
  void add_values(const RunContext& context, int unit, const Block& block, Range keys) const {
    TileArguments tile = product(most_keys(), keys.last - keys.first, padded(head_channels_));
    tile.output.columns = panel();
    tile.output.residual_row_stride = padded(head_channels_);
    for (int first = 0; first < head_channels_; first += panel()) {
      tile.panel = values(context, unit) + static_cast<std::ptrdiff_t>(first) * keys_ +
                   static_cast<std::ptrdiff_t>(keys.first) * panel();
      multiply_rows(context, tile, block, block.logits, block.sums + first, keys.first > 0);
    }
  }

  [[nodiscard]] TileArguments product(std::ptrdiff_t row_stride, int depth, std::ptrdiff_t out_stride) const {
    static constexpr std::ptrdiff_t kOrigin = 0;
    TileArguments tile{};
    tile.row_stride = row_stride;
    tile.taps = &kOrigin;
    tile.tap_count = 1;
    tile.depth = depth;
    tile.vectors = 2;
    tile.output.scale = 1;
    tile.output.out_row_stride = out_stride;
    tile.output.out_channel_stride = 1;
    return tile;
  }

  /// Computes a product's panel for all rows of a block, added to what `out` holds where `adds`.
  void multiply_rows(const RunContext& context, TileArguments& tile, const Block& block, const float* input, float* out,
                     bool adds = false) const {
    for (int row = 0; row < block.rows(); row += rows_) {
      tile.input = input + row * tile.row_stride;
      tile.output.rows = std::min(rows_, block.rows() - row);
      tile.output.out = out + row * tile.output.out_row_stride;
      tile.output.residual = adds ? tile.output.out : nullptr;
      context.device.isa.tile(tile);
    }
  }

  Operands operands_;
  int heads_;
  bool causal_;
  int width_;
  int rows_;
  int queries_ = 0;
  int keys_ = 0;
  int head_channels_ = 0;
};

/// Returns whether a node is attention of a map to itself, which the processor's matrix unit has a layer for.
bool is_plain(const LayerFactory& factory, const dpm_node& node) {
  const dpm_value& q = factory.values[input_of(node, 0)].shape;
  const dpm_value& k = factory.values[input_of(node, 1)].shape;
  return attention_of(node).causal == 0 && input_of(node, 3) < 0 && q.height * q.width == k.height * k.width;
}

}  // namespace

std::unique_ptr<Layer> make_attention(const LayerFactory& factory, const dpm_node& node) {
  if (factory.device.bf16_terms > 0 && is_plain(factory, node)) return make_bf16_attention(factory, node);
  return std::make_unique<Attention>(factory, node);
}

}  // namespace dpm::cpu
