// Group normalisation: the statistics, gamma, beta and the time's scale and shift become one multiply-add per element.
#include <optional>

#include "devices/cpu/layers/group_statistics.h"
#include "devices/cpu/layers/pixel_blocks.h"

namespace dpm::cpu {
namespace {

class GroupNorm : public Layer {
 public:
  GroupNorm(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        attributes_(group_norm_of(node)),
        statistics_(attributes_, factory.values[output_of(node)].shape),
        gamma_(factory.packing.vectors(node.weights, 1)),
        beta_(factory.packing.vectors(node.biases, 1)) {
    channels_ = factory.values[output_of(node)].shape.channels;
    if (const DeferredNorm* deferred = factory.deferred_norm(output_of(node))) deferred_ = *deferred;
  }

  [[nodiscard]] std::size_t scratch(int batch, int /*threads*/) const override {
    return static_cast<std::size_t>(batch) * sample_floats();
  }

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    const IsaKernels& isa = context.device.isa;
    const bool defers = deferred_ && context.defers(*deferred_);
    for_samples(context, [&](ThreadPool& pool, Range samples) {
      statistics_.compute(isa, pool, samples, in, sample_scratch(context, 0), sample_floats());
      for (int n = samples.first; n < samples.last; ++n) {
        float* deferred = context.norm_coefficients + static_cast<std::ptrdiff_t>(2 * n) * channels_;
        fold(context, n, defers ? deferred : coefficients(context, n));
      }
      if (defers) return;
      for_pixel_blocks(pool, samples, in, [&](int n, Range range) {
        const float* a = coefficients(context, n);
        isa.channel_affine(in.sample(n) + range.first * in.pixel_stride, in.pixel_stride,
                           out.sample(n) + range.first * out.pixel_stride, out.pixel_stride, range.last - range.first,
                           channels_, a, a + channels_, attributes_.silu != 0);
      });
    });
  }

 private:
  /// Number of floats per sample: its statistics, then the coefficients a and b.
  [[nodiscard]] std::size_t sample_floats() const {
    return statistics_.floats() + 2 * static_cast<std::size_t>(channels_);
  }
  [[nodiscard]] float* sample_scratch(const RunContext& context, int n) const {
    return context.scratch + static_cast<std::size_t>(n) * sample_floats();
  }
  [[nodiscard]] float* coefficients(const RunContext& context, int n) const {
    return sample_scratch(context, n) + statistics_.floats();
  }

  void fold(const RunContext& context, int n, float* a) const {
    const int group = channels_ / attributes_.groups;
    float* b = a + channels_;
    const float* scale_shift = operands_.input(1) >= 0 ? context.map(operands_.input(1)).sample(n) : nullptr;
    for (int g = 0; g < attributes_.groups; ++g) {
      const auto [mean, inverse] = statistics_.moments(sample_scratch(context, n), g);
      for (int c = g * group; c < (g + 1) * group; ++c) {
        double scale = gamma_->floats()[c] * inverse;
        double shift = beta_->floats()[c] - mean * scale;
        if (scale_shift != nullptr) {
          const double factor = 1.0 + scale_shift[c];
          scale *= factor;
          shift = shift * factor + scale_shift[channels_ + c];
        }
        a[c] = static_cast<float>(scale);
        b[c] = static_cast<float>(shift);
      }
    }
  }

  Operands operands_;
  dpm_group_norm_attributes attributes_;
  GroupStatistics statistics_;
  Packed gamma_;
  Packed beta_;
  std::optional<DeferredNorm> deferred_;
  int channels_ = 0;
};

}  // namespace

std::unique_ptr<Layer> make_group_norm(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<GroupNorm>(factory, node);
}

}  // namespace dpm::cpu
