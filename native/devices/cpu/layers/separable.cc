// Products of a map with a matrix on either axis: rows are combined first, then the elements of each row.
#include <algorithm>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {
namespace {

class Separable : public Layer {
 public:
  Separable(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        in_(factory.values[input_of(node, 0)].shape),
        out_(factory.values[output_of(node)].shape),
        matrices_(factory.packing.vectors(node.weights, 2)) {}

  /// Number of scratch floats: maps as high as the result and as wide as the input.
  [[nodiscard]] std::size_t scratch(int batch, int /*threads*/) const override {
    return static_cast<std::size_t>(batch) * static_cast<std::size_t>(out_.height) * row_floats();
  }

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    for_rows(context, [&](int n, int y) { combine_rows(in, n, y, row(context, n, y)); });
    for_rows(context, [&](int n, int y) { combine_pixels(row(context, n, y), out, n, y); });
  }

 private:
  [[nodiscard]] std::size_t row_floats() const {
    return static_cast<std::size_t>(in_.width) * static_cast<std::size_t>(in_.channels);
  }
  [[nodiscard]] float* row(const RunContext& context, int n, int y) const {
    const auto index =
        static_cast<std::size_t>(n) * static_cast<std::size_t>(out_.height) + static_cast<std::size_t>(y);
    return context.scratch + index * row_floats();
  }

  template <typename Body>
  void for_rows(const RunContext& context, const Body& body) const {
    context.pool.parallel_for(static_cast<std::int64_t>(context.batch) * out_.height,
                              [&](std::int64_t task, int /*thread*/) {
                                body(static_cast<int>(task / out_.height), static_cast<int>(task % out_.height));
                              });
  }

  void combine_rows(const MapView& in, int n, int y, float* to) const {
    const float* factors = matrices_->floats() + static_cast<std::ptrdiff_t>(y) * in_.height;
    std::fill_n(to, row_floats(), 0.0F);
    for (int i = 0; i < in_.height; ++i) {
      for (int x = 0; x < in_.width; ++x) {
        const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(i) * in_.width + x;
        add_scaled(factors[i], in.sample(n) + pixel * in.pixel_stride,
                   to + static_cast<std::ptrdiff_t>(x) * in_.channels);
      }
    }
  }

  void combine_pixels(const float* from, const MapView& out, int n, int y) const {
    const float* factors = matrices_->floats() + static_cast<std::ptrdiff_t>(out_.height) * in_.height;
    for (int x = 0; x < out_.width; ++x, factors += in_.width) {
      float* to = out.sample(n) + (static_cast<std::ptrdiff_t>(y) * out_.width + x) * out.pixel_stride;
      std::fill_n(to, out_.channels, 0.0F);
      for (int j = 0; j < in_.width; ++j) {
        add_scaled(factors[j], from + static_cast<std::ptrdiff_t>(j) * in_.channels, to);
      }
    }
  }

  /// Zero factors are skipped, because matrices that select, repeat or filter are mostly zeros.
  void add_scaled(float factor, const float* from, float* to) const {
    if (factor == 0.0F) return;
    for (int c = 0; c < in_.channels; ++c) to[c] += factor * from[c];
  }

  Operands operands_;
  dpm_value in_;
  dpm_value out_;
  Packed matrices_;
};

}  // namespace

std::unique_ptr<Layer> make_separable(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<Separable>(factory, node);
}

}  // namespace dpm::cpu
