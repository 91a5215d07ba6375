// Convolutions as products of bfloat16 numbers with float32 sums. Each float32 operand is the sum of two such numbers:
// three products of a matrix unit that is sixteen times as fast as float32 arithmetic.
#include <algorithm>
#include <cstring>

#include "backend/bindings.h"
#include "devices/cpu/layers/bf16_grid.h"
#include "devices/cpu/layers/bf16_weights.h"
#include "devices/cpu/layers/convolution.h"

namespace dpm::cpu {
namespace {

// Limit for the input of a block, which shares the second-level cache with a panel of weights.
constexpr std::size_t kBlockBytes = std::size_t{768} << 10;
constexpr int kTasksPerThread = 4;
// A block of fewer positions costs more in reading the weights than it gains on another thread.
constexpr int kLeastPositions = 256;
// Half of a tile's depth and of its columns: where more of them are empty, float32 is about as fast, and exact.
constexpr int kNarrow = 16;

/// Returns whether a node is the shortcut of a block whose channels change, a product of the block's own input, on maps
/// as large as the image. Smaller maps carry no single pixels.
bool is_shortcut(const dpm_graph& graph, const dpm_node& node) {
  if (convolution_of(node).kernel != 1) return false;
  const int input = input_of(node, 0);
  const auto pixels = [&](int value) { return graph.values[value].height * graph.values[value].width; };
  if (pixels(input) < pixels(output_of(graph.nodes[graph.node_count - 1]))) return false;
  return std::none_of(graph.nodes, &node, [&](const dpm_node& earlier) {
    const bool branches = earlier.op == DPM_OP_GROUP_NORM || earlier.op == DPM_OP_ATTENTION;
    return branches && output_of(earlier) == input;
  });
}

/// Operands of a network's first and last convolution and of shortcuts have two terms on every device. The state passes
/// through these, and samplers divide by the signal's share of the state, which is small: a rounding error there would
/// stay in the picture.
int terms_of(const LayerFactory& factory, const dpm_node& node) {
  const auto is_callers = [&](int value) { return is_bound(factory.values[static_cast<std::size_t>(value)].shape); };
  const bool carries = is_callers(input_of(node, 0)) || is_callers(output_of(node)) || is_shortcut(factory.graph, node);
  return carries ? 2 : factory.device.bf16_terms;
}

/// Returns whether there are too few channels for a matrix unit.
bool is_narrow(const LayerFactory& factory, const dpm_node& node) {
  const dpm_convolution_attributes& how = convolution_of(node);
  const dpm_value& in = factory.values[input_of(node, 0)].shape;
  const dpm_value& out = factory.values[output_of(node)].shape;
  if (how.kernel == 1) return std::min(in.channels, out.channels) <= kNarrow;
  if (factory.device.bf16_terms == 2 || is_bound(in)) return in.channels <= kNarrow;
  // Normalising other maps while they are laid out, which one term allows, is worth more than some empty columns.
  return std::max(in.channels, out.channels) <= kNarrow && how.stride == 1;
}

class Bf16Convolution : public Convolution {
 public:
  Bf16Convolution(const LayerFactory& factory, const dpm_node& node)
      : Convolution(factory, node),
        grid_(attributes_, in_shape_, out_shape_),
        terms_(terms_of(factory, node)),
        weights_(factory, node, in_shape_.channels, out_shape_.channels, terms_),
        blocks_(divide_up(in_shape_.channels, kBf16Depth)) {
    if (const DeferredNorm* norm = factory.deferred_norm(input_of(node, 0))) norm_ = *norm;
  }

  [[nodiscard]] std::size_t scratch(int batch, int threads) const override {
    return static_cast<std::size_t>(threads) * (thread_bytes(batch) / sizeof(float) + 1);
  }

  void run(const RunContext& context) const override {
    const DeferredNorm* norm = norm_ && context.defers(*norm_) ? &*norm_ : nullptr;
    const Maps maps{context.map(norm != nullptr ? norm->input : operands_.input(0)), context.map(operands_.output()),
                    epilogue(context), norm};
    const int threads = context.pool.threads();
    const int rows = grid_.rows(context.batch);
    const int tasks = kTasksPerThread * threads;
    const int for_threads = std::clamp(rows * grid_.pitch() / kLeastPositions, 1, tasks);
    const int parts = std::clamp(std::max(divide_up(rows, most_rows()), for_threads), 1, rows);
    const int groups = parts >= 2 * threads ? 1 : std::clamp(divide_up(tasks, parts), 1, weights_.panels());
    const std::size_t stride = thread_bytes(context.planned_batch);
    // The scratch memory behind the operands holds, for each thread, the part that it has laid out.
    int* laid_out =
        reinterpret_cast<int*>(reinterpret_cast<char*>(context.scratch) + static_cast<std::size_t>(threads) * stride);
    std::fill_n(laid_out, threads, -1);
    context.pool.parallel_for(static_cast<std::int64_t>(parts) * groups, [&](std::int64_t task, int thread) {
      const auto part = static_cast<int>(task / groups);
      const Range range = part_of(rows, parts, part);
      auto* operands = reinterpret_cast<std::uint16_t*>(reinterpret_cast<char*>(context.scratch) +
                                                        static_cast<std::size_t>(thread) * stride);
      int& ready = laid_out[thread];
      if (ready != part) lay_out(context, maps, range, operands);
      ready = part;
      const auto group = static_cast<int>(task % groups);
      // The group of panels that this thread takes next, if all threads are equally fast.
      const int next = part_of(weights_.panels(), groups, (group + threads) % groups).first;
      multiply(context, maps, range, part_of(weights_.panels(), groups, group), next, operands);
    });
  }

 private:
  struct Maps {
    MapView in;
    MapView out;
    Epilogue operands;
    const DeferredNorm* norm;  ///< norm to apply to the input, or null
  };

  [[nodiscard]] std::size_t row_bytes() const {
    return static_cast<std::size_t>(grid_.pitch()) * kBf16Depth * static_cast<std::size_t>(blocks_ * terms_) *
           grid_.phases().size() * sizeof(std::uint16_t);
  }
  [[nodiscard]] int most_rows() const {
    return std::max(1, static_cast<int>(kBlockBytes / row_bytes()) - grid_.before() - grid_.after());
  }
  [[nodiscard]] std::size_t thread_bytes(int batch) const {
    const int rows = std::min(most_rows(), grid_.rows(batch));
    return grid_.positions(rows) * kBf16Depth * static_cast<std::size_t>(blocks_ * terms_) * grid_.phases().size() *
           sizeof(std::uint16_t);
  }

  /// Strides of a block's operands, in elements.
  struct Strides {
    std::ptrdiff_t term;
    std::ptrdiff_t phase;
    std::ptrdiff_t block;
  };
  [[nodiscard]] Strides strides(const Range& rows) const {
    const auto term = static_cast<std::ptrdiff_t>(grid_.positions(rows.last - rows.first)) * kBf16Depth;
    const std::ptrdiff_t phase = term * terms_;
    return {term, phase, phase * static_cast<std::ptrdiff_t>(grid_.phases().size())};
  }

  /// Lays out the input under rows `rows` of the grid.
  void lay_out(const RunContext& context, const Maps& maps, const Range& rows, std::uint16_t* operands) const {
    const MapView& in = maps.in;
    const Strides stride = strides(rows);
    const int zoom = attributes_.upsample != 0 ? 2 : 1;
    const int first = rows.first - grid_.before();
    for (std::size_t p = 0; p < grid_.phases().size(); ++p) {
      const Bf16Grid::Phase phase = grid_.phases()[p];
      std::uint16_t* start = operands + static_cast<std::ptrdiff_t>(p) * stride.phase;
      zero(start, 0, grid_.before(), stride);
      for (int row = first; row < rows.last + grid_.after(); ++row) {
        const std::ptrdiff_t position = static_cast<std::ptrdiff_t>(row - first) * grid_.pitch() + grid_.before();
        const int n = row < 0 ? context.batch : row / grid_.image_rows();
        const int y = (row % grid_.image_rows()) * attributes_.stride + phase.row;
        int filled = 0;
        if (n < context.batch && y < in.height * zoom) {
          filled = divide_up(in.width * zoom - phase.column, attributes_.stride);
          lay_out_row(context, maps, n, y / zoom, phase.column, start + position * kBf16Depth, stride);
        }
        zero(start, position + filled, position + grid_.pitch(), stride);
      }
      const auto end = static_cast<std::ptrdiff_t>(grid_.positions(rows.last - rows.first));
      zero(start, end - grid_.after() - kBf16Rows, end, stride);
    }
  }

  void zero(std::uint16_t* start, std::ptrdiff_t first, std::ptrdiff_t last, const Strides& stride) const {
    for (int block = 0; block < blocks_; ++block) {
      for (int term = 0; term < terms_; ++term) {
        std::memset(start + block * stride.block + term * stride.term + first * kBf16Depth, 0,
                    static_cast<std::size_t>(last - first) * kBf16Depth * sizeof(std::uint16_t));
      }
    }
  }

  void lay_out_row(const RunContext& context, const Maps& maps, int n, int y, int column, std::uint16_t* out,
                   const Strides& stride) const {
    const MapView& in = maps.in;
    const int zoom = attributes_.upsample != 0 ? 2 : 1;
    Bf16Operand operand{};
    operand.x = in.sample(n) + (static_cast<std::ptrdiff_t>(y) * in.width + column) * in.pixel_stride;
    if (maps.norm != nullptr) {
      operand.a = context.norm_coefficients + static_cast<std::ptrdiff_t>(2 * n) * in.channels;
      operand.b = operand.a + in.channels;
      operand.silu = maps.norm->silu;
    }
    operand.pixel_stride = in.pixel_stride * attributes_.stride;
    operand.channel_stride = in.channel_stride;
    operand.pixels = divide_up(in.width - column, attributes_.stride);
    operand.channels = in.channels;
    operand.terms = terms_;
    operand.out_pixel_stride = static_cast<std::ptrdiff_t>(kBf16Depth) * zoom;
    operand.term_stride = stride.term;
    operand.block_stride = stride.block;
    for (int copy = 0; copy < zoom; ++copy) {
      operand.out = out + static_cast<std::ptrdiff_t>(copy) * kBf16Depth;
      context.device.isa.bf16->operand(operand);
    }
  }

  void multiply(const RunContext& context, const Maps& maps, const Range& rows, const Range& panels, int next,
                const std::uint16_t* operands) const {
    const Bf16Kernels& bf16 = *context.device.isa.bf16;
    const Strides stride = strides(rows);
    std::ptrdiff_t taps[kMostTaps];
    for (std::size_t i = 0; i < grid_.taps().size(); ++i) {
      const Bf16Grid::Tap& tap = grid_.taps()[i];
      taps[i] =
          tap.phase * stride.phase + (static_cast<std::ptrdiff_t>(tap.row) * grid_.pitch() + tap.column) * kBf16Depth;
    }
    alignas(64) float sums[kBf16Rows * kBf16Columns];
    Bf16Tile tile{};
    tile.term_stride = stride.term;
    tile.block_stride = stride.block;
    tile.taps = taps;
    tile.tap_count = static_cast<int>(grid_.taps().size());
    tile.blocks = blocks_;
    tile.terms = terms_;
    tile.sums = sums;
    tile.sums_stride = kBf16Columns;
    const int end = (rows.last - rows.first - 1) * grid_.pitch() + out_shape_.width;
    const int tile_count = divide_up(end, kBf16Rows);
    const int steps = blocks_ * tile.tap_count;
    tile.next_lines = divide_up(weights_.panel_lines(), steps * tile_count);
    bf16.begin();
    for (int panel = panels.first; panel < panels.last; ++panel) {
      tile.panel = weights_.panel(panel);
      tile.next = weights_.panel(panel + 1 < panels.last ? panel + 1 : next);
      for (int first = 0; first < end; first += kBf16Rows) {
        tile.rows = std::min(kBf16Rows, end - first);
        tile.input = operands + (grid_.origin() + first) * kBf16Depth;
        bf16.tile(tile);
        tile.next += static_cast<std::ptrdiff_t>(tile.next_lines) * steps * kBf16Depth;
        store(context, maps, rows.first, first, tile.rows, panel, sums);
      }
    }
    bf16.end();
  }

  /// Stores the finished sums of positions [first, first + count) of the block that starts at row `origin`.
  void store(const RunContext& context, const Maps& maps, int origin, int first, int count, int panel,
             const float* sums) const {
    const int channel = panel * kBf16Columns;
    TileOutput output{};
    output.columns = std::min(kBf16Columns, out_shape_.channels - channel);
    if (maps.operands.bias != nullptr) output.bias = maps.operands.bias + channel;
    output.scale = attributes_.scale;
    output.silu = attributes_.silu != 0;
    output.out_row_stride = maps.out.pixel_stride;
    output.out_channel_stride = maps.out.channel_stride;
    for (int done = 0; done < count;) {
      const int row = origin + (first + done) / grid_.pitch();
      const int x = (first + done) % grid_.pitch();
      const int run = std::min(count - done, grid_.pitch() - x);
      const int n = row / grid_.image_rows();
      const int y = row % grid_.image_rows();
      output.rows = std::min(run, out_shape_.width - x);
      if (y < out_shape_.height && output.rows > 0) {
        const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(y) * out_shape_.width + x;
        output.out = maps.out.sample(n) + pixel * maps.out.pixel_stride + channel * maps.out.channel_stride;
        if (maps.operands.channel_vector) output.channel_vector = maps.operands.channel_vector->sample(n) + channel;
        if (maps.operands.residual) {
          const MapView& residual = *maps.operands.residual;
          output.residual = residual.sample(n) + pixel * residual.pixel_stride + channel;
          output.residual_row_stride = residual.pixel_stride;
        }
        context.device.isa.tile_output(output, sums + static_cast<std::ptrdiff_t>(done) * kBf16Columns, kBf16Columns);
      }
      done += run;
    }
  }

  static constexpr int kMostTaps = 64;

  Bf16Grid grid_;
  int terms_;
  Bf16Weights weights_;
  std::optional<DeferredNorm> norm_;
  int blocks_;
};

}  // namespace

bool prefers_bf16(const LayerFactory& factory, const dpm_node& node) {
  const dpm_value& out = factory.values[output_of(node)].shape;
  if (factory.device.bf16_terms == 0 || out.height * out.width == 1) return false;
  if (is_narrow(factory, node)) return false;
  return factory.device.isa.bf16->beats_float || !factory.by_winograd(node);
}

std::unique_ptr<Layer> make_bf16_convolution(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<Bf16Convolution>(factory, node);
}

}  // namespace dpm::cpu
