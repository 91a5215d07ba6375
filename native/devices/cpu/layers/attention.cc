// Spatial self-attention: keys and values are laid out as panels, then every block of queries computes its logits,
// their softmax and the weighted values with the product's tiles.
#include "devices/cpu/layers/attention.h"

#include <cmath>

namespace dpm::cpu {
namespace {

class Attention : public Layer {
 public:
  Attention(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        heads_(attention_of(node).heads),
        width_(factory.device.isa.width),
        rows_(factory.device.isa.rows) {
    const dpm_value& shape = factory.values[output_of(node)].shape;
    tokens_ = shape.height * shape.width;
    head_channels_ = shape.channels / heads_;
  }

  [[nodiscard]] std::size_t scratch(int batch, int threads) const override {
    return static_cast<std::size_t>(batch * heads_) * 2 * head_floats() +
           static_cast<std::size_t>(threads) * logits_floats();
  }

  void run(const RunContext& context) const override {
    ThreadPool& pool = context.pool;
    const int units = context.batch * heads_;
    const int key_panels = divide_up(tokens_, panel());
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
    const int blocks = divide_up(tokens_, rows_);
    pool.parallel_for(static_cast<std::int64_t>(units) * blocks, [&](std::int64_t task, int thread) {
      const Range queries = part_of(tokens_, blocks, static_cast<int>(task % blocks));
      attend(context, static_cast<int>(task / blocks), queries, thread);
    });
  }

 private:
  [[nodiscard]] int panel() const { return 2 * width_; }
  [[nodiscard]] int padded_tokens() const { return divide_up(tokens_, panel()) * panel(); }
  [[nodiscard]] std::size_t head_floats() const {
    const int padded_channels = divide_up(head_channels_, panel()) * panel();
    const std::size_t keys = static_cast<std::size_t>(padded_tokens()) * static_cast<std::size_t>(head_channels_);
    return std::max(keys, static_cast<std::size_t>(padded_channels) * static_cast<std::size_t>(tokens_));
  }
  [[nodiscard]] std::size_t logits_floats() const {
    return static_cast<std::size_t>(rows_) * static_cast<std::size_t>(padded_tokens());
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
    for (int column = 0; column < panel(); ++column) {
      const bool inside = first + column < tokens_;
      const float* token = source + (first + column) * map.pixel_stride;
      for (int c = 0; c < head_channels_; ++c) out[c * panel() + column] = inside ? token[c] : 0.0F;
    }
  }

  /// Packs values as a [tokens][head channels] operand.
  void pack_values(const RunContext& context, int unit, int index) const {
    const MapView map = context.map(operands_.input(2));
    const float* source = head(map, unit);
    float* out = values(context, unit) + static_cast<std::ptrdiff_t>(index) * tokens_ * panel();
    const int first = index * panel();
    const int columns = std::min(panel(), head_channels_ - first);
    for (int token = 0; token < tokens_; ++token, out += panel()) {
      std::copy_n(source + token * map.pixel_stride + first, columns, out);
      std::fill_n(out + columns, panel() - columns, 0.0F);
    }
  }

  void attend(const RunContext& context, int unit, Range queries, int thread) const {
    const int units = context.planned_batch * heads_;
    float* logits = context.scratch + static_cast<std::size_t>(units) * 2 * head_floats() +
                    static_cast<std::size_t>(thread) * logits_floats();
    const MapView q = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    const std::ptrdiff_t origin = 0;
    TileArguments tile{};
    tile.taps = &origin;
    tile.tap_count = 1;
    tile.output.rows = queries.last - queries.first;
    tile.vectors = 2;
    tile.output.scale = 1;
    tile.output.out_channel_stride = 1;

    tile.input = head(q, unit) + queries.first * q.pixel_stride;
    tile.row_stride = q.pixel_stride;
    tile.depth = head_channels_;
    tile.output.out_row_stride = padded_tokens();
    tile.output.columns = panel();
    for (int first = 0; first < tokens_; first += panel()) {
      tile.panel = keys(context, unit) + static_cast<std::ptrdiff_t>(first) * head_channels_;
      tile.output.out = logits + first;
      context.device.isa.tile(tile);
    }
    const float scale = 1.0F / std::sqrt(static_cast<float>(head_channels_));
    for (int row = 0; row < tile.output.rows; ++row) {
      context.device.isa.softmax(logits + static_cast<std::ptrdiff_t>(row) * padded_tokens(), tokens_, scale);
    }

    tile.input = logits;
    tile.row_stride = padded_tokens();
    tile.depth = tokens_;
    tile.output.out_row_stride = out.pixel_stride;
    for (int first = 0; first < head_channels_; first += panel()) {
      tile.panel = values(context, unit) + static_cast<std::ptrdiff_t>(first) * tokens_;
      tile.output.columns = std::min(panel(), head_channels_ - first);
      tile.output.out = head(out, unit) + queries.first * out.pixel_stride + first;
      context.device.isa.tile(tile);
    }
  }

  Operands operands_;
  int heads_;
  int width_;
  int rows_;
  int tokens_ = 0;
  int head_channels_ = 0;
};

}  // namespace

std::unique_ptr<Layer> make_attention(const LayerFactory& factory, const dpm_node& node) {
  if (factory.device.bf16_terms > 0) return make_bf16_attention(factory, node);
  return std::make_unique<Attention>(factory, node);
}

}  // namespace dpm::cpu
