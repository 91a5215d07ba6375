// Spatial self-attention as products of bfloat16 numbers, see bf16_convolution.cc. Keys and values become panels once;
// then each task computes the logits, their softmax and the weighted values of one block of 32 queries.
#include <cmath>
#include <cstring>

#include "devices/cpu/bf16/kernels.h"
#include "devices/cpu/layers/attention.h"

namespace dpm::cpu {
namespace {

class Bf16Attention : public Layer {
 public:
  Bf16Attention(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), heads_(attention_of(node).heads), terms_(factory.device.bf16_terms) {
    const dpm_value& shape = factory.values[output_of(node)].shape;
    tokens_ = shape.height * shape.width;
    head_channels_ = shape.channels / heads_;
    token_blocks_ = divide_up(tokens_, kBf16Depth);
    channel_blocks_ = divide_up(head_channels_, kBf16Depth);
  }

  [[nodiscard]] std::size_t scratch(int batch, int threads) const override {
    const std::size_t panels = static_cast<std::size_t>(batch * heads_) * 2 * matrix_elements();
    return (panels + static_cast<std::size_t>(threads) * thread_elements()) * sizeof(std::uint16_t) / sizeof(float);
  }

  void run(const RunContext& context) const override {
    ThreadPool& pool = context.pool;
    const int units = context.batch * heads_;
    const int panels = token_blocks_ + channel_blocks_;
    pool.parallel_for(static_cast<std::int64_t>(units) * panels, [&](std::int64_t task, int /*thread*/) {
      pack(context, static_cast<int>(task / panels), static_cast<int>(task % panels));
    });
    pool.parallel_for(static_cast<std::int64_t>(units) * token_blocks_, [&](std::int64_t task, int thread) {
      attend(context, static_cast<int>(task / token_blocks_), static_cast<int>(task % token_blocks_), thread);
    });
  }

 private:
  [[nodiscard]] std::size_t tile_elements() const { return static_cast<std::size_t>(terms_) * kBf16Rows * kBf16Depth; }
  /// Number of elements of the keys or the values of one head.
  [[nodiscard]] std::size_t matrix_elements() const {
    return tile_elements() * static_cast<std::size_t>(token_blocks_ * channel_blocks_);
  }
  /// Number of elements of a thread's operands: its queries or probabilities, whichever are more, then its logits.
  [[nodiscard]] std::size_t thread_elements() const { return operand_elements() + logits_floats() * 2; }
  [[nodiscard]] std::size_t operand_elements() const {
    return tile_elements() * static_cast<std::size_t>(std::max(token_blocks_, channel_blocks_));
  }
  [[nodiscard]] std::size_t logits_floats() const {
    return static_cast<std::size_t>(kBf16Rows) * static_cast<std::size_t>(token_blocks_) * kBf16Depth;
  }

  [[nodiscard]] std::uint16_t* keys(const RunContext& context, int unit) const {
    return reinterpret_cast<std::uint16_t*>(context.scratch) + static_cast<std::size_t>(unit) * 2 * matrix_elements();
  }
  [[nodiscard]] std::uint16_t* values(const RunContext& context, int unit) const {
    return keys(context, unit) + matrix_elements();
  }
  [[nodiscard]] float* head(const MapView& map, int unit) const {
    return map.sample(unit / heads_) + static_cast<std::ptrdiff_t>(unit % heads_) * head_channels_;
  }

  /// Packs one panel of 32 keys, or of 32 channels of the values.
  void pack(const RunContext& context, int unit, int index) const {
    const bool of_keys = index < token_blocks_;
    const MapView map = context.map(operands_.input(of_keys ? 1 : 2));
    const int first = (of_keys ? index : index - token_blocks_) * kBf16Columns;
    const std::size_t panel = tile_elements() * static_cast<std::size_t>(of_keys ? channel_blocks_ : token_blocks_);
    Bf16Matrix matrix{};
    matrix.x = head(map, unit) + (of_keys ? first * map.pixel_stride : first);
    matrix.pixel_stride = map.pixel_stride;
    matrix.pixels = of_keys ? std::min(kBf16Columns, tokens_ - first) : tokens_;
    matrix.channels = of_keys ? head_channels_ : std::min(kBf16Columns, head_channels_ - first);
    matrix.terms = terms_;
    matrix.out = (of_keys ? keys(context, unit) : values(context, unit)) +
                 static_cast<std::size_t>(first / kBf16Columns) * panel;
    const Bf16Kernels& bf16 = *context.device.isa.bf16;
    (of_keys ? bf16.pixel_columns : bf16.channel_columns)(matrix);
  }

  void attend(const RunContext& context, int unit, int block, int thread) const {
    const IsaKernels& isa = context.device.isa;
    const int units = context.planned_batch * heads_;
    std::uint16_t* operand = keys(context, units) + static_cast<std::size_t>(thread) * thread_elements();
    auto* logits = reinterpret_cast<float*>(operand + operand_elements());
    const int first = block * kBf16Rows;
    const int rows = std::min(kBf16Rows, tokens_ - first);
    const std::ptrdiff_t logits_stride = static_cast<std::ptrdiff_t>(token_blocks_) * kBf16Depth;
    isa.bf16->begin();

    const MapView q = context.map(operands_.input(0));
    lay_out(isa, head(q, unit) + first * q.pixel_stride, q.pixel_stride, rows, head_channels_, operand);
    const Product scores{operand, keys(context, unit), channel_blocks_, rows};
    for (int panel = 0; panel < token_blocks_; ++panel) {
      multiply(isa, scores, panel, logits + static_cast<std::ptrdiff_t>(panel) * kBf16Columns, logits_stride);
    }
    const float scale = 1.0F / std::sqrt(static_cast<float>(head_channels_));
    for (int row = 0; row < rows; ++row) isa.softmax(logits + row * logits_stride, tokens_, scale);

    lay_out(isa, logits, logits_stride, rows, tokens_, operand);
    const Product weighted{operand, values(context, unit), token_blocks_, rows};
    const MapView out = context.map(operands_.output());
    alignas(64) float sums[kBf16Rows * kBf16Columns];
    for (int panel = 0; panel < channel_blocks_; ++panel) {
      multiply(isa, weighted, panel, sums, kBf16Columns);
      TileOutput output{};
      output.rows = rows;
      output.columns = std::min(kBf16Columns, head_channels_ - panel * kBf16Columns);
      output.scale = 1;
      output.out = head(out, unit) + first * out.pixel_stride + static_cast<std::ptrdiff_t>(panel) * kBf16Columns;
      output.out_row_stride = out.pixel_stride;
      output.out_channel_stride = 1;
      isa.tile_output(output, sums, kBf16Columns);
    }
    isa.bf16->end();
  }

  void lay_out(const IsaKernels& isa, const float* x, std::ptrdiff_t stride, int rows, int channels,
               std::uint16_t* out) const {
    Bf16Operand operand{};
    operand.x = x;
    operand.pixel_stride = stride;
    operand.channel_stride = 1;
    operand.pixels = rows;
    operand.channels = channels;
    operand.terms = terms_;
    operand.out = out;
    operand.out_pixel_stride = kBf16Depth;
    operand.term_stride = static_cast<std::ptrdiff_t>(kBf16Rows) * kBf16Depth;
    operand.block_stride = operand.term_stride * terms_;
    isa.bf16->operand(operand);
  }

  struct Product {
    const std::uint16_t* operand;
    const std::uint16_t* panels;
    int blocks;
    int rows;
  };

  void multiply(const IsaKernels& isa, const Product& product, int panel, float* sums, std::ptrdiff_t stride) const {
    const std::ptrdiff_t origin = 0;
    Bf16Tile tile{};
    tile.input = product.operand;
    tile.term_stride = static_cast<std::ptrdiff_t>(kBf16Rows) * kBf16Depth;
    tile.block_stride = tile.term_stride * terms_;
    tile.taps = &origin;
    tile.tap_count = 1;
    tile.blocks = product.blocks;
    tile.panel =
        product.panels + static_cast<std::size_t>(panel) * tile_elements() * static_cast<std::size_t>(product.blocks);
    tile.next = tile.panel;
    tile.terms = terms_;
    tile.rows = product.rows;
    tile.sums = sums;
    tile.sums_stride = stride;
    isa.bf16->tile(tile);
  }

  Operands operands_;
  int heads_;
  int terms_;
  int tokens_ = 0;
  int head_channels_ = 0;
  int token_blocks_ = 0;
  int channel_blocks_ = 0;
};

}  // namespace

std::unique_ptr<Layer> make_bf16_attention(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<Bf16Attention>(factory, node);
}

}  // namespace dpm::cpu
