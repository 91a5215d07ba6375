// Gradients of a convolution's weights: for each tap a product over pixels, [input channels x pixels] by [pixels x
// output channels]. A task owns a block of input and output channels and some chunks of pixels, for which it lays out
// the map by channels and the cotangent in panels, unless the kernel is a single tap; partial sums of chunks are added
// in their order. So every number has one owner, and its order of summation depends on the shapes and the batch alone.
#include <algorithm>

#include "backend/bindings.h"
#include "devices/cpu/layers/convolution.h"

namespace dpm::cpu {
namespace {

/// Number of channels of a block, on either side: both layouts of a chunk fit a core's second cache.
constexpr int kBlockChannels = 128;
/// Number of pixels of a chunk, about; more are summed up in float32 by adding chunks.
constexpr int kChunkPixels = 256;
/// Number of pixels of a chunk that is read where it lies: their lines fit a core's first cache.
constexpr int kChunkInPlace = 64;
/// Number of tasks that are enough for any processor.
constexpr int kTasks = 16;
/// Number of channels whose rows are written together.
constexpr int kStreams = 16;

class ConvolutionWeights : public Layer {
 public:
  ConvolutionWeights(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        attributes_(convolution_of(node)),
        in_(factory.values[input_of(node, 0)].shape),
        out_(factory.values[input_of(node, 1)].shape),
        panel_width_(2 * factory.device.isa.width),
        columns_(divide_up(out_.channels, panel_width_) * panel_width_),
        is_in_place_(attributes_.kernel == 1 && attributes_.stride == 1 && attributes_.pad_before == 0 &&
                     attributes_.pad_after == 0 && !is_bound(in_) && !is_bound(out_) &&
                     out_.channels % factory.device.isa.width == 0) {
    const int chunk_pixels = is_in_place_ ? kChunkInPlace : kChunkPixels;
    const int padded = (out_.width - 1) * attributes_.stride + attributes_.kernel;
    phase_width_ = divide_up(padded, attributes_.stride);
    pitch_ = phase_width_ * attributes_.stride;
    band_rows_ = std::clamp(chunk_pixels / out_.width, 1, out_.height);
    const int bands = divide_up(out_.height, band_rows_);
    band_rows_ = divide_up(out_.height, bands);
    images_ = bands > 1 ? 1 : std::max(1, chunk_pixels / (out_.width * out_.height));
  }

  [[nodiscard]] std::size_t scratch(int batch, int threads) const override {
    return static_cast<std::size_t>(groups(batch)) * partial_floats() +
           static_cast<std::size_t>(threads) * (map_floats() + panel_floats());
  }

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView d = context.map(operands_.input(1));
    const int parts = groups(context.batch);
    const int across = input_blocks() * output_blocks();
    context.pool.parallel_for(static_cast<std::int64_t>(across) * parts, [&](std::int64_t task, int thread) {
      const auto index = static_cast<int>(task);
      const int block = index / parts;
      const Task own{part_of(in_.channels, input_blocks(), block / output_blocks()),
                     part_of(columns_ / panel_width_, output_blocks(), block % output_blocks()),
                     part_of(chunks(context.batch), parts, index % parts),
                     context.scratch + static_cast<std::size_t>(index % parts) * partial_floats(),
                     context.scratch + static_cast<std::size_t>(groups(context.planned_batch)) * partial_floats() +
                         static_cast<std::size_t>(thread) * (map_floats() + panel_floats())};
      run_task(context, in, d, own);
    });
    add_up(context, parts);
  }

 private:
  /// A block of channels over some chunks of pixels.
  struct Task {
    Range inputs;
    Range panels;
    Range chunks;
    float* partial;  ///< sums [tap][input channel][columns_]
    float* own;      ///< memory of the thread
  };
  /// Images [first, last) from output row `rows.first` to `rows.last`.
  struct Chunk {
    Range images;
    Range rows;
  };

  [[nodiscard]] int taps() const { return attributes_.kernel * attributes_.kernel; }
  [[nodiscard]] int input_blocks() const { return divide_up(in_.channels, kBlockChannels); }
  [[nodiscard]] int output_blocks() const { return divide_up(columns_, kBlockChannels); }
  [[nodiscard]] int bands() const { return divide_up(out_.height, band_rows_); }
  [[nodiscard]] int chunks(int batch) const { return bands() * divide_up(batch, images_); }
  /// Number of groups of chunks, each of which has partial sums of its own.
  [[nodiscard]] int groups(int batch) const {
    return std::clamp(divide_up(kTasks, input_blocks() * output_blocks()), 1, chunks(batch));
  }
  [[nodiscard]] int input_rows(int rows) const { return (rows - 1) * attributes_.stride + attributes_.kernel; }
  /// Number of floats of a channel's rows in a chunk, and one line more, because otherwise all channels would compete
  /// for the same places in the cache.
  [[nodiscard]] std::size_t channel_floats() const {
    return static_cast<std::size_t>(images_) * static_cast<std::size_t>(input_rows(band_rows_) * pitch_) + kStreams;
  }
  [[nodiscard]] std::size_t map_floats() const { return kBlockChannels * channel_floats(); }
  [[nodiscard]] std::size_t panel_floats() const {
    return static_cast<std::size_t>(images_ * band_rows_ * out_.width) * static_cast<std::size_t>(panel_width_);
  }
  [[nodiscard]] std::size_t partial_floats() const {
    return static_cast<std::size_t>(taps() * in_.channels) * static_cast<std::size_t>(columns_);
  }

  [[nodiscard]] Chunk chunk_at(int index, int batch) const {
    const int first = index / bands() * images_;
    const int row = index % bands() * band_rows_;
    return {{first, std::min(batch, first + images_)}, {row, std::min(out_.height, row + band_rows_)}};
  }

  void run_task(const RunContext& context, const MapView& in, const MapView& d, const Task& task) const {
    float* map = task.own;
    float* panel = task.own + map_floats();
    for (int index = task.chunks.first; index < task.chunks.last; ++index) {
      const Chunk chunk = chunk_at(index, context.batch);
      if (is_in_place_) {
        multiply_in_place(context, in, d, chunk, task, index > task.chunks.first);
        continue;
      }
      lay_out_map(context, in, chunk, task.inputs, map);
      for (int p = task.panels.first; p < task.panels.last; ++p) {
        lay_out_panel(context, d, chunk, p, panel);
        multiply(context, chunk, task, p, map, panel, index > task.chunks.first);
      }
    }
  }

  /// Adds a chunk's products of a single tap to the task's sums, or stores them.
  void multiply_in_place(const RunContext& context, const MapView& in, const MapView& d, const Chunk& chunk,
                         const Task& task, bool adds) const {
    const int width = context.device.isa.width;
    const int last = std::min(out_.channels, task.panels.last * panel_width_);
    // Single pixels of all images are one sequence.
    const bool joined = in.pixels() == 1;
    OuterProduct product{};
    product.x_stride = joined ? in.sample_stride : in.pixel_stride;
    product.y_stride = joined ? d.sample_stride : d.pixel_stride;
    product.depth = joined ? chunk.images.last - chunk.images.first : (chunk.rows.last - chunk.rows.first) * out_.width;
    product.sums_stride = columns_;
    for (int n = chunk.images.first; n < (joined ? chunk.images.first + 1 : chunk.images.last); ++n) {
      product.adds = adds || n > chunk.images.first;
      const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(chunk.rows.first) * out_.width;
      for (int o = task.panels.first * panel_width_; o < last; o += panel_width_) {
        product.vectors = last - o > width ? 2 : 1;
        product.y = d.sample(n) + pixel * d.pixel_stride + o;
        for_even_parts(task.inputs, context.device.isa.rows, [&](int i, int count) {
          product.rows = count;
          product.x = in.sample(n) + pixel * in.pixel_stride + i;
          product.sums = task.partial + static_cast<std::ptrdiff_t>(i) * columns_ + o;
          context.device.isa.outer_product(product);
        });
      }
    }
  }

  /// Returns the place of padded column `column` in a row: columns that a tap reads one after the other are adjacent,
  /// those of each remainder by the stride in a phase of their own.
  [[nodiscard]] int place_of(int column) const {
    return column % attributes_.stride * phase_width_ + column / attributes_.stride;
  }

  /// Writes the rows that a chunk reads, channel by channel, with zeros around the map.
  void lay_out_map(const RunContext& context, const MapView& in, const Chunk& chunk, Range channels, float* map) const {
    const int rows = input_rows(chunk.rows.last - chunk.rows.first);
    const auto stride = static_cast<std::ptrdiff_t>(channel_floats());
    const int top = chunk.rows.first * attributes_.stride - attributes_.pad_before;
    for (int first = channels.first; first < channels.last; first += kStreams) {
      const Range some{first, std::min(channels.last, first + kStreams)};
      float* to = map + (first - channels.first) * stride;
      for (int n = chunk.images.first; n < chunk.images.last; ++n) {
        for (int row = 0; row < rows; ++row, to += pitch_) lay_out_row(context, in, n, top + row, some, to, stride);
      }
    }
  }

  void lay_out_row(const RunContext& context, const MapView& in, int n, int y, Range channels, float* to,
                   std::ptrdiff_t stride) const {
    const int count = channels.last - channels.first;
    const int step = attributes_.stride;
    for (int phase = 0; phase < step; ++phase, to += phase_width_) {
      // Place k of a phase holds column k * step + offset of the map.
      const int offset = phase - attributes_.pad_before;
      const bool is_inside = y >= 0 && y < in.height;
      const int last = is_inside ? std::clamp(divide_up(in.width - offset, step), 0, phase_width_) : 0;
      const int first = std::min(last, offset < 0 ? divide_up(-offset, step) : 0);
      for (int c = 0; c < count; ++c) {
        std::fill_n(to + c * stride, first, 0.0F);
        std::fill(to + c * stride + last, to + c * stride + phase_width_, 0.0F);
      }
      if (first == last) continue;
      const float* from = in.sample(n) +
                          (static_cast<std::ptrdiff_t>(y) * in.width + first * step + offset) * in.pixel_stride +
                          channels.first * in.channel_stride;
      if (in.channel_stride == 1) {
        context.device.isa.transpose(from, step * in.pixel_stride, last - first, count, to + first, stride);
        continue;
      }
      for (int c = 0; c < count; ++c) {
        for (int k = first; k < last; ++k) {
          to[c * stride + k] = from[(k - first) * step * in.pixel_stride + c * in.channel_stride];
        }
      }
    }
  }

  /// Number of vectors of a panel: the last one may have one in place of two.
  [[nodiscard]] int vectors_of(const RunContext& context, int panel) const {
    return out_.channels - panel * panel_width_ > context.device.isa.width ? 2 : 1;
  }

  /// Writes the cotangent's pixels of one panel of output channels, with zeros for missing ones.
  void lay_out_panel(const RunContext& context, const MapView& d, const Chunk& chunk, int panel, float* to) const {
    const int first = panel * panel_width_;
    const int width = vectors_of(context, panel) * context.device.isa.width;
    const int count = std::clamp(out_.channels - first, 0, width);
    for (int n = chunk.images.first; n < chunk.images.last; ++n) {
      for (int y = chunk.rows.first; y < chunk.rows.last; ++y) {
        const float* pixel = d.sample(n) + static_cast<std::ptrdiff_t>(y) * d.width * d.pixel_stride +
                             static_cast<std::ptrdiff_t>(first) * d.channel_stride;
        for (int x = 0; x < d.width; ++x, pixel += d.pixel_stride, to += width) {
          for (int c = 0; c < count; ++c) to[c] = pixel[c * d.channel_stride];
          std::fill(to + count, to + width, 0.0F);
        }
      }
    }
  }

  /// Adds a chunk's products of all taps with one panel to the task's sums, or stores them.
  void multiply(const RunContext& context, const Chunk& chunk, const Task& task, int panel, const float* map,
                const float* cotangent, bool adds) const {
    std::ptrdiff_t lines[kChunkPixels];
    int count = 0;
    const int rows = chunk.rows.last - chunk.rows.first;
    for (int n = 0; n < chunk.images.last - chunk.images.first; ++n) {
      for (int y = 0; y < rows; ++y) {
        lines[count++] = static_cast<std::ptrdiff_t>(n * input_rows(rows) + y * attributes_.stride) * pitch_;
      }
    }
    TileArguments tile{};
    tile.taps = lines;
    tile.tap_count = count;
    tile.depth = out_.width;
    if (pitch_ == out_.width) {
      // Lines without a border are one.
      tile.tap_count = 1;
      tile.depth = out_.width * count;
    }
    tile.row_stride = static_cast<std::ptrdiff_t>(channel_floats());
    tile.panel = cotangent;
    tile.vectors = vectors_of(context, panel);
    tile.output.columns = tile.vectors * context.device.isa.width;
    tile.output.scale = 1;
    tile.output.out_row_stride = columns_;
    tile.output.residual_row_stride = columns_;
    tile.output.out_channel_stride = 1;
    for (int tap = 0; tap < taps(); ++tap) {
      const std::ptrdiff_t place = tap / attributes_.kernel * pitch_ + place_of(tap % attributes_.kernel);
      for_even_parts(task.inputs, context.device.isa.rows, [&](int i, int count) {
        tile.input = map + place + static_cast<std::ptrdiff_t>(i - task.inputs.first) * tile.row_stride;
        tile.output.rows = count;
        tile.output.out = task.partial + (static_cast<std::ptrdiff_t>(tap) * in_.channels + i) * columns_ +
                          static_cast<std::ptrdiff_t>(panel) * panel_width_;
        tile.output.residual = adds ? tile.output.out : nullptr;
        context.device.isa.tile(tile);
      });
    }
  }

  /// Adds the sums of all groups, in their order, to the caller's tensor [output channel][input channel][tap]: a task
  /// has a vector of output channels and some of the lines of their kernels.
  void add_up(const RunContext& context, int parts) const {
    float* gradient = context.map(operands_.output()).data;
    const int width = context.device.isa.width;
    const int lines = in_.channels * taps();
    const int blocks = divide_up(lines, kLines);
    context.pool.parallel_for(
        static_cast<std::int64_t>(divide_up(out_.channels, width)) * blocks, [&](std::int64_t task, int /*thread*/) {
          const int channel = static_cast<int>(task / blocks) * width;
          const Range some = part_of(lines, blocks, static_cast<int>(task % blocks));
          const int count = some.last - some.first;
          float totals[kLines * kMostWidth] = {};
          for (int line = 0; line < count; ++line) {
            add_line(context.scratch + channel, some.first + line, parts, width, totals + line * width);
          }
          float turned[kLines * kMostWidth];
          context.device.isa.transpose(totals, width, count, width, turned, kLines);
          for (int c = 0; c < std::min(width, out_.channels - channel); ++c) {
            float* to = gradient + static_cast<std::ptrdiff_t>(channel + c) * lines + some.first;
            for (int line = 0; line < count; ++line) to[line] += turned[c * kLines + line];
          }
        });
  }

  /// Adds the groups' sums of one line, an input channel's number of a tap, for a vector of output channels.
  void add_line(const float* sums, int line, int parts, int width, float* totals) const {
    const float* sum = sums + (static_cast<std::ptrdiff_t>(line % taps()) * in_.channels + line / taps()) * columns_;
    for (int part = 0; part < parts; ++part, sum += partial_floats()) {
      for (int c = 0; c < width; ++c) totals[c] += sum[c];
    }
  }

  /// Number of lines that are added up before they are written where they belong.
  static constexpr int kLines = 64;

  Operands operands_;
  dpm_convolution_attributes attributes_;
  dpm_value in_;
  dpm_value out_;
  int panel_width_;
  int columns_;          ///< output channels, in whole panels
  bool is_in_place_;     ///< tells whether both operands are read where they lie
  int phase_width_ = 0;  ///< columns of a row that one tap reads
  int pitch_ = 0;        ///< floats of a row with its border
  int band_rows_ = 0;    ///< output rows of a chunk
  int images_ = 0;       ///< images of a chunk
};

}  // namespace

std::unique_ptr<Layer> make_convolution_weights(const LayerFactory& factory, const dpm_node& node) {
  const dpm_value& in = factory.values[input_of(node, 0)].shape;
  const dpm_value& out = factory.values[input_of(node, 1)].shape;
  if (suits_winograd(factory.device, node, in, out)) return make_winograd_weights(factory, node);
  return std::make_unique<ConvolutionWeights>(factory, node);
}

}  // namespace dpm::cpu
