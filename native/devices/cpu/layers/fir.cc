// Maps of twice or half the size, filtered with [1 3 3 1] along both axes (NCSN++). A row of the result is computed
// along the columns first, into scratch memory, then along the row. Zeros that upsampling inserts are skipped: two of
// the four taps meet them.
#include <algorithm>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {
namespace {

/// Computes an upsampled element between two input elements.
void blend(const float* near, const float* far, float* out, int channels) {
  for (int c = 0; c < channels; ++c) out[c] = 0.75F * near[c] + 0.25F * far[c];
}

/// Computes a downsampled element from four input elements.
void weigh(const float* first, const float* second, const float* third, const float* fourth, float* out, int channels) {
  for (int c = 0; c < channels; ++c) {
    out[c] = 0.125F * (first[c] + fourth[c]) + 0.375F * (second[c] + third[c]);
  }
}

class Fir : public Layer {
 public:
  Fir(const LayerFactory& factory, const dpm_node& node)
      : enlarges_(node.op == DPM_OP_FIR_UPSAMPLE),
        operands_(node),
        padding_(fir_padding_of(node)),
        extension_(fir_extension_of(node)),
        channels_(factory.values[output_of(node)].shape.channels) {
    // The strip has one pixel of zeros on either side.
    strip_floats_ = static_cast<std::ptrdiff_t>(factory.values[input_of(node, 0)].shape.width + 2) *
                    static_cast<std::ptrdiff_t>(channels_);
  }

  [[nodiscard]] std::size_t scratch(int /*batch*/, int threads) const override {
    return static_cast<std::size_t>(threads) * static_cast<std::size_t>(strip_floats_);
  }

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    context.pool.parallel_for(static_cast<std::int64_t>(context.batch) * out.height,
                              [&](std::int64_t task, int thread) {
                                float* strip = context.scratch + thread * strip_floats_;
                                std::fill_n(strip, channels_, 0.0F);
                                std::fill_n(strip + strip_floats_ - channels_, channels_, 0.0F);
                                const auto n = static_cast<int>(task / out.height);
                                const auto y = static_cast<int>(task % out.height);
                                if (enlarges_) {
                                  upsample_row(in, out, n, y, strip);
                                } else {
                                  downsample_row(in, out, n, y, strip);
                                }
                              });
  }

 private:
  /// A row of a map, or of zeros.
  struct Row {
    float* data;
    std::ptrdiff_t stride;

    [[nodiscard]] float* at(int x) const { return data + x * stride; }
  };

  /// Returns row y, or `zeros` outside the map.
  static Row row_of(const MapView& map, int n, int y, float* zeros) {
    if (y < 0 || y >= map.height) return {zeros, 0};
    return {map.sample(n) + static_cast<std::ptrdiff_t>(y) * map.width * map.pixel_stride, map.pixel_stride};
  }

  /// Returns the row of sums along the columns, whose pixels -1 and `width` are zeros.
  [[nodiscard]] Row columns_of(float* strip) const { return {strip + channels_, channels_}; }

  /// The two input elements that an upsampled element lies between; also for elements outside twice the map: -1 and the
  /// one behind the last.
  struct Neighbours {
    int near;
    int far;
  };
  static Neighbours neighbours_of(int element) {
    const int near = (element + 2) / 2 - 1;
    return {near, (element + 2) % 2 == 0 ? near - 1 : near + 1};
  }

  void upsample_row(const MapView& in, const MapView& out, int n, int y, float* strip) const {
    const Neighbours rows = neighbours_of(y - extension_);
    const Row near = row_of(in, n, rows.near, strip);
    const Row far = row_of(in, n, rows.far, strip);
    const Row columns = columns_of(strip);
    for (int x = 0; x < in.width; ++x) blend(near.at(x), far.at(x), columns.at(x), channels_);
    const Row target = row_of(out, n, y, nullptr);
    for (int x = 0; x < out.width; ++x) {
      const Neighbours pair = neighbours_of(x - extension_);
      blend(columns.at(pair.near), columns.at(pair.far), target.at(x), channels_);
    }
  }

  void downsample_row(const MapView& in, const MapView& out, int n, int y, float* strip) const {
    const int top = 2 * y - padding_;
    const Row rows[] = {row_of(in, n, top, strip), row_of(in, n, top + 1, strip), row_of(in, n, top + 2, strip),
                        row_of(in, n, top + 3, strip)};
    const Row columns = columns_of(strip);
    for (int x = 0; x < in.width; ++x) {
      weigh(rows[0].at(x), rows[1].at(x), rows[2].at(x), rows[3].at(x), columns.at(x), channels_);
    }
    const Row target = row_of(out, n, y, nullptr);
    for (int x = 0; x < out.width; ++x) {
      const int left = 2 * x - padding_;
      weigh(columns.at(left), columns.at(left + 1), columns.at(left + 2), columns.at(left + 3), target.at(x),
            channels_);
    }
  }

  bool enlarges_;
  Operands operands_;
  int padding_;
  int extension_;
  int channels_;
  std::ptrdiff_t strip_floats_;
};

}  // namespace

std::unique_ptr<Layer> make_fir(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<Fir>(factory, node);
}

}  // namespace dpm::cpu
