// The derivative of attention, both ways. With P = softmax(c q k'), c = 1 / sqrt(head channels), per head:
//   backward: S = c P (d v' - rows' sums of P (d v')); S k, S' q and P' d are the cotangents of q, k and v, of which
//             there may be as many as one likes, or with a causal P those up to each query;
//   tangent:  S = c P (M - rows' sums of P M), M = t_q k' + q t_k'; the result is S v + P t_v.
// P is computed again, because it would be the largest of the tensors that a network keeps.
#include <algorithm>
#include <cmath>

#include "devices/cpu/layers/attention.h"

namespace dpm::cpu {
namespace {

/// Number of heads for each thread from which threads take whole heads: few wait for the last.
constexpr int kHeadsPerThread = 4;
/// Number of floats of a head's matrices that a thread may have for itself: about a core's second cache.
constexpr std::size_t kCachedFloats = std::size_t{512} * 1024;

/// Products of one head's operands by the tiles of convolutions, whose right operands lie in panels of columns.
class HeadProducts {
 public:
  HeadProducts(const IsaKernels& isa, int tokens, int channels)
      : isa_(isa), panel_(2 * isa.width), tokens_(tokens), channels_(channels) {}

  [[nodiscard]] int tokens() const { return tokens_; }
  [[nodiscard]] int rows() const { return isa_.rows; }
  [[nodiscard]] int padded_tokens() const { return divide_up(tokens_, panel_) * panel_; }
  /// Number of floats of one packed operand.
  [[nodiscard]] std::size_t packed_floats() const {
    const auto by_tokens = static_cast<std::size_t>(padded_tokens()) * static_cast<std::size_t>(channels_);
    const int padded_channels = divide_up(channels_, panel_) * panel_;
    return std::max(by_tokens, static_cast<std::size_t>(padded_channels) * static_cast<std::size_t>(tokens_));
  }

  /// Packs an operand as [channels][tokens]: the right operand for left ones with a column per channel.
  void pack_by_token(const float* source, std::ptrdiff_t stride, float* out) const {
    for (int first = 0; first < tokens_; first += panel_, out += std::ptrdiff_t{panel_} * channels_) {
      pack_token_panel(isa_, source + first * stride, stride, std::min(panel_, tokens_ - first), channels_, out);
    }
  }

  /// Packs an operand as [tokens][channels]: the right operand for left ones with a column per token.
  void pack_by_channel(const float* source, std::ptrdiff_t stride, float* out) const {
    for (int first = 0; first < channels_; first += panel_, out += std::ptrdiff_t{panel_} * tokens_) {
      pack_channel_panel(isa_, source + first, stride, tokens_, std::min(panel_, channels_ - first), out);
    }
  }

  /// Multiplies `rows` rows of `left`, with a column per channel, by an operand packed by token.
  void with_tokens(const float* left, std::ptrdiff_t stride, int rows, const float* packed, float* out) const {
    multiply(left, stride, rows, channels_, packed, tokens_, out, padded_tokens());
  }

  /// Multiplies `rows` rows of `left`, with a column per token, by an operand packed by channel; with `more`, adds to
  /// the sums.
  void with_channels(const float* left, std::ptrdiff_t stride, int rows, const float* packed, float* out,
                     std::ptrdiff_t out_stride, bool more = false) const {
    multiply(left, stride, rows, tokens_, packed, channels_, out, out_stride, more);
  }

 private:
  void multiply(const float* left, std::ptrdiff_t stride, int rows, int depth, const float* packed, int columns,
                float* out, std::ptrdiff_t out_stride, bool more = false) const {
    const std::ptrdiff_t origin = 0;
    TileArguments tile{};
    tile.input = left;
    tile.row_stride = stride;
    tile.taps = &origin;
    tile.tap_count = 1;
    tile.depth = depth;
    tile.vectors = 2;
    tile.output.rows = rows;
    tile.output.scale = 1;
    tile.output.out_row_stride = out_stride;
    tile.output.out_channel_stride = 1;
    for (int first = 0; first < columns; first += panel_) {
      tile.panel = packed + static_cast<std::ptrdiff_t>(first) * depth;
      tile.output.columns = std::min(panel_, columns - first);
      tile.output.out = out + first;
      tile.output.residual = more ? out + first : nullptr;
      tile.output.residual_row_stride = out_stride;
      isa_.tile(tile);
    }
  }

  const IsaKernels& isa_;
  int panel_;
  int tokens_;
  int channels_;
};

class AttentionDerivative : public Layer {
 public:
  AttentionDerivative(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        isa_(factory.device.isa),
        heads_(attention_of(node).heads),
        causal_(attention_of(node).causal != 0) {
    const dpm_value& q = factory.values[input_of(node, 0)].shape;
    const dpm_value& k = factory.values[input_of(node, 1)].shape;
    channels_ = q.channels;
    queries_ = q.height * q.width;
    keys_ = k.height * k.width;
  }

  /// Threads take heads where there are several for each and a head's matrices fit its cache, otherwise a head's rows.
  void run(const RunContext& context) const override {
    const int units = context.batch * heads_;
    if (!has_heads_for(context.batch, context.pool.threads())) {
      for (int unit = 0; unit < units; ++unit) run_head({context, context.pool, context.scratch}, unit);
      return;
    }
    context.pool.parallel_for(units, [&](std::int64_t unit, int thread) {
      float* own = context.scratch + static_cast<std::size_t>(thread) * head_floats(1);
      run_head({context, ThreadPool::of_caller(), own}, static_cast<int>(unit));
    });
  }

  [[nodiscard]] std::size_t scratch(int batch, int threads) const override {
    const std::size_t of_heads = has_heads_for(batch, threads) ? static_cast<std::size_t>(threads) * head_floats(1) : 0;
    return std::max(head_floats(threads), of_heads);
  }

 protected:
  /// What a head is computed with: the threads that share its rows, and their memory.
  struct Means {
    const RunContext& context;
    ThreadPool& pool;
    float* memory;
  };

  virtual void run_head(const Means& means, int unit) const = 0;
  /// Number of floats that a head needs on `threads` threads.
  [[nodiscard]] virtual std::size_t head_floats(int threads) const = 0;

  [[nodiscard]] bool has_heads_for(int batch, int threads) const {
    return threads > 1 && batch * heads_ >= kHeadsPerThread * threads && head_floats(1) <= kCachedFloats;
  }

  [[nodiscard]] int head_channels() const { return channels_ / heads_; }
  /// Products with keys and values, and with queries and what belongs to them.
  [[nodiscard]] HeadProducts of_keys() const { return {isa_, keys_, head_channels()}; }
  [[nodiscard]] HeadProducts of_queries() const { return {isa_, queries_, head_channels()}; }

  /// A head of an operand or of the result.
  struct Head {
    float* data;
    std::ptrdiff_t stride;

    [[nodiscard]] float* token(int index) const { return data + index * stride; }
  };
  [[nodiscard]] Head head(const RunContext& context, int value, int unit, int first_channel = 0) const {
    const MapView map = context.map(value);
    const std::ptrdiff_t channel = first_channel + static_cast<std::ptrdiff_t>(unit % heads_) * head_channels();
    return {map.sample(unit / heads_) + channel, map.pixel_stride};
  }

  /// Calls `body(first, rows, thread)` for blocks of tokens.
  template <typename Body>
  void for_blocks(ThreadPool& pool, int tokens, const Body& body) const {
    const int blocks = divide_up(tokens, isa_.rows);
    pool.parallel_for(blocks, [&](std::int64_t block, int thread) {
      const Range range = part_of(tokens, blocks, static_cast<int>(block));
      body(range.first, range.last - range.first, thread);
    });
  }

  /// Computes rows of P.
  void weigh(const HeadProducts& products, const Head& queries, int first, int rows, const float* keys,
             float* weights) const {
    const float scale = 1.0F / std::sqrt(static_cast<float>(head_channels()));
    products.with_tokens(queries.token(first), queries.stride, rows, keys, weights);
    for (int row = 0; row < rows; ++row) {
      float* own = weights + static_cast<std::ptrdiff_t>(row) * products.padded_tokens();
      const int count = causal_ ? first + row + 1 : keys_;
      isa_.softmax(own, count, scale);
      std::fill(own + count, own + keys_, 0.0F);
    }
  }

  /// Turns the factors of rows of P into rows of S.
  void centre(const HeadProducts& products, const float* weights, float* rows_of_s, int rows) const {
    const float scale = 1.0F / std::sqrt(static_cast<float>(head_channels()));
    isa_.softmax_derivative(weights, rows_of_s, products.padded_tokens(), rows, keys_, scale);
  }

  Operands operands_;
  const IsaKernels& isa_;
  int heads_;
  bool causal_;
  int channels_ = 0;
  int queries_ = 0;
  int keys_ = 0;
};

class Backward : public AttentionDerivative {
 public:
  using AttentionDerivative::AttentionDerivative;

 protected:
  [[nodiscard]] std::size_t head_floats(int threads) const override {
    return 3 * of_keys().packed_floats() + 2 * of_queries().packed_floats() + 2 * matrix_floats() +
           static_cast<std::size_t>(threads) * column_floats();
  }

  void run_head(const Means& means, int unit) const override {
    const RunContext& context = means.context;
    const HeadProducts by_keys = of_keys();
    const HeadProducts by_queries = of_queries();
    const Head q = head(context, operands_.input(0), unit);
    const Head k = head(context, operands_.input(1), unit);
    const Head v = head(context, operands_.input(2), unit);
    const Head d = head(context, operands_.input(3), unit);
    float* keys = means.memory;
    float* values = keys + by_keys.packed_floats();
    float* right_of_q = values + by_keys.packed_floats();
    float* right_of_k = right_of_q + by_keys.packed_floats();
    float* right_of_v = right_of_k + by_queries.packed_floats();
    float* weights = right_of_v + by_queries.packed_floats();
    float* centred = weights + matrix_floats();
    float* columns = centred + matrix_floats();
    means.pool.parallel_for(5, [&](std::int64_t operand, int /*thread*/) {
      if (operand == 0) by_keys.pack_by_token(k.data, k.stride, keys);
      if (operand == 1) by_keys.pack_by_token(v.data, v.stride, values);
      if (operand == 2) by_keys.pack_by_channel(k.data, k.stride, right_of_q);
      if (operand == 3) by_queries.pack_by_channel(q.data, q.stride, right_of_k);
      if (operand == 4) by_queries.pack_by_channel(d.data, d.stride, right_of_v);
    });
    // Cotangents of k and v come behind that of q, or are a result of their own.
    const bool is_crossed = operands_.outputs() > 1;
    const int of_k = operands_.output(is_crossed ? 1 : 0);
    const Head dq = head(context, operands_.output(), unit);
    const Head dk = head(context, of_k, unit, is_crossed ? 0 : channels_);
    const Head dv = head(context, of_k, unit, (is_crossed ? 1 : 2) * channels_);
    const std::ptrdiff_t stride = by_keys.padded_tokens();
    for_blocks(means.pool, queries_, [&](int first, int rows, int /*thread*/) {
      float* p = weights + first * stride;
      float* s = centred + first * stride;
      weigh(by_keys, q, first, rows, keys, p);
      by_keys.with_tokens(d.token(first), d.stride, rows, values, s);
      centre(by_keys, p, s, rows);
      by_keys.with_channels(s, stride, rows, right_of_q, dq.token(first), dq.stride);
    });
    for_blocks(means.pool, keys_, [&](int first, int rows, int thread) {
      float* own = columns + static_cast<std::size_t>(thread) * column_floats();
      isa_.transpose(centred + first, stride, queries_, rows, own, queries_);
      by_queries.with_channels(own, queries_, rows, right_of_k, dk.token(first), dk.stride);
      isa_.transpose(weights + first, stride, queries_, rows, own, queries_);
      by_queries.with_channels(own, queries_, rows, right_of_v, dv.token(first), dv.stride);
    });
  }

 private:
  [[nodiscard]] std::size_t matrix_floats() const {
    return static_cast<std::size_t>(queries_) * static_cast<std::size_t>(of_keys().padded_tokens());
  }
  [[nodiscard]] std::size_t column_floats() const {
    return static_cast<std::size_t>(isa_.rows) * static_cast<std::size_t>(queries_);
  }
};

class Tangent : public AttentionDerivative {
 public:
  using AttentionDerivative::AttentionDerivative;

 protected:
  [[nodiscard]] std::size_t head_floats(int threads) const override {
    return 4 * of_keys().packed_floats() + static_cast<std::size_t>(threads) * 3 * block_floats();
  }

  void run_head(const Means& means, int unit) const override {
    const RunContext& context = means.context;
    const HeadProducts products = of_keys();
    const std::size_t packed = products.packed_floats();
    // Inputs that are packed: k and its tangent, then v and its tangent.
    constexpr int kPacked[] = {1, 4, 2, 5};
    means.pool.parallel_for(4, [&](std::int64_t operand, int /*thread*/) {
      const Head source = head(context, operands_.input(static_cast<std::size_t>(kPacked[operand])), unit);
      float* to = means.memory + static_cast<std::size_t>(operand) * packed;
      if (operand < 2) products.pack_by_token(source.data, source.stride, to);
      if (operand >= 2) products.pack_by_channel(source.data, source.stride, to);
    });
    const float* keys = means.memory;
    const float* key_tangents = keys + packed;
    const float* values = key_tangents + packed;
    const float* value_tangents = values + packed;
    const Head q = head(context, operands_.input(0), unit);
    const Head tq = head(context, operands_.input(3), unit);
    const Head out = head(context, operands_.output(), unit);
    const std::ptrdiff_t stride = products.padded_tokens();
    for_blocks(means.pool, queries_, [&](int first, int rows, int thread) {
      float* p = means.memory + 4 * packed + static_cast<std::size_t>(thread) * 3 * block_floats();
      float* s = p + block_floats();
      float* other = s + block_floats();
      weigh(products, q, first, rows, keys, p);
      products.with_tokens(tq.token(first), tq.stride, rows, keys, s);
      products.with_tokens(q.token(first), q.stride, rows, key_tangents, other);
      for (std::ptrdiff_t row = 0; row < rows; ++row) {
        for (int j = 0; j < keys_; ++j) s[row * stride + j] += other[row * stride + j];
      }
      centre(products, p, s, rows);
      products.with_channels(s, stride, rows, values, out.token(first), out.stride);
      products.with_channels(p, stride, rows, value_tangents, out.token(first), out.stride, true);
    });
  }

 private:
  [[nodiscard]] std::size_t block_floats() const {
    return static_cast<std::size_t>(isa_.rows) * static_cast<std::size_t>(of_keys().padded_tokens());
  }
};

}  // namespace

std::unique_ptr<Layer> make_attention_derivative(const LayerFactory& factory, const dpm_node& node) {
  if (node.op == DPM_OP_ATTENTION_BACKWARD) return std::make_unique<Backward>(factory, node);
  return std::make_unique<Tangent>(factory, node);
}

}  // namespace dpm::cpu
