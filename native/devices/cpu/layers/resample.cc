// Concatenation, ranges of channels, enlargement by the nearest neighbour or by zeros, means of 2 x 2.
#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {
namespace {

class Resample : public Layer {
 public:
  explicit Resample(const dpm_node& node)
      : op_(static_cast<dpm_op>(node.op)), operands_(node), first_(op_ == DPM_OP_VIEW ? view_of(node).first : 0) {}

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    context.pool.parallel_for(static_cast<std::int64_t>(context.batch) * out.height,
                              [&](std::int64_t task, int /*thread*/) {
                                const auto n = static_cast<int>(task / out.height);
                                const auto y = static_cast<int>(task % out.height);
                                if (op_ == DPM_OP_CONCAT) {
                                  concat_row(in, context.map(operands_.input(1)), out, n, y);
                                } else if (op_ == DPM_OP_VIEW) {
                                  view_row(in, out, n, y);
                                } else if (op_ == DPM_OP_UPSAMPLE) {
                                  upsample_row(in, out, n, y);
                                } else if (op_ == DPM_OP_ZERO_UPSAMPLE) {
                                  zero_upsample_row(in, out, n, y);
                                } else {
                                  pool_row(in, out, n, y);
                                }
                              });
  }

 private:
  static const float* pixel(const MapView& map, int n, int y, int x) {
    return map.sample(n) + (static_cast<std::ptrdiff_t>(y) * map.width + x) * map.pixel_stride;
  }
  static float* target(const MapView& map, int n, int y, int x) {
    return map.sample(n) + (static_cast<std::ptrdiff_t>(y) * map.width + x) * map.pixel_stride;
  }

  static void concat_row(const MapView& first, const MapView& second, const MapView& out, int n, int y) {
    for (int x = 0; x < out.width; ++x) {
      float* to = target(out, n, y, x);
      std::copy_n(pixel(first, n, y, x), first.channels, to);
      std::copy_n(pixel(second, n, y, x), second.channels, to + first.channels);
    }
  }

  static void upsample_row(const MapView& in, const MapView& out, int n, int y) {
    const auto source = [](std::int64_t i, int from, int to) { return static_cast<int>(i * from / to); };
    const int row = source(y, in.height, out.height);
    for (int x = 0; x < out.width; ++x) {
      std::copy_n(pixel(in, n, row, source(x, in.width, out.width)), in.channels, target(out, n, y, x));
    }
  }

  static void zero_upsample_row(const MapView& in, const MapView& out, int n, int y) {
    for (int x = 0; x < out.width; ++x) {
      if (y % 2 == 0 && x % 2 == 0) {
        std::copy_n(pixel(in, n, y / 2, x / 2), in.channels, target(out, n, y, x));
      } else {
        std::fill_n(target(out, n, y, x), out.channels, 0.0F);
      }
    }
  }

  /// Copies a row of `out`, whose pixels are those of `in` in the same order, whatever the height and width.
  void view_row(const MapView& in, const MapView& out, int n, int y) const {
    for (int x = 0; x < out.width; ++x) {
      const std::ptrdiff_t place = static_cast<std::ptrdiff_t>(y) * out.width + x;
      std::copy_n(in.sample(n) + place * in.pixel_stride + first_, out.channels, target(out, n, y, x));
    }
  }

  static void pool_row(const MapView& in, const MapView& out, int n, int y) {
    for (int x = 0; x < out.width; ++x) {
      const float* a = pixel(in, n, 2 * y, 2 * x);
      const float* b = pixel(in, n, 2 * y + 1, 2 * x);
      float* to = target(out, n, y, x);
      for (int c = 0; c < in.channels; ++c) {
        to[c] = 0.25F * ((a[c] + a[c + in.pixel_stride]) + (b[c] + b[c + in.pixel_stride]));
      }
    }
  }

  dpm_op op_;
  Operands operands_;
  int first_;
};

}  // namespace

std::unique_ptr<Layer> make_resample(const LayerFactory& /*factory*/, const dpm_node& node) {
  return std::make_unique<Resample>(node);
}

}  // namespace dpm::cpu
