// The derivative of a group norm, both ways. With x' the normalised map, h = gamma (1 + scale) and M the elements of a
// group, a cotangent d of the result, times silu' where there is one, gives
//   (h d - mean(h d) - x' mean(h d x')) / deviation,
// and a tangent t of the map gives h (t - mean(t) - x' mean(t x')) / deviation, times silu'.
#include <array>

#include "devices/cpu/layers/group_statistics.h"
#include "devices/cpu/layers/pixel_blocks.h"

namespace dpm::cpu {
namespace {

class NormDerivativeLayer : public Layer {
 public:
  NormDerivativeLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        is_backward_(node.op == DPM_OP_GROUP_NORM_BACKWARD),
        attributes_(group_norm_of(node)),
        statistics_(attributes_, factory.values[output_of(node)].shape),
        gamma_(factory.packing.vectors(node.weights, 1)),
        beta_(factory.packing.vectors(node.biases, 1)),
        channels_(factory.values[output_of(node)].shape.channels) {}

  [[nodiscard]] std::size_t scratch(int batch, int /*threads*/) const override {
    return static_cast<std::size_t>(batch) * sample_floats();
  }

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView given = context.map(operands_.input(1));
    const MapView out = context.map(operands_.output());
    for_samples(context, [&](ThreadPool& pool, Range samples) {
      statistics_.compute(context.device.isa, pool, samples, in, context.scratch, sample_floats());
      for (int n = samples.first; n < samples.last; ++n) fold_norm(context, n);
      add_up(context, pool, samples, in, given);
      for (int n = samples.first; n < samples.last; ++n) fold_derivative(context, in.pixels(), n);
      for_pixel_blocks(pool, samples, in, [&](int n, Range range) {
        context.device.isa.norm_derivative(arguments(context, in, given, n, range), row(context, n, kGiven),
                                           row(context, n, kMap), row(context, n, kShift),
                                           out.sample(n) + range.first * out.pixel_stride, out.pixel_stride);
      });
    });
  }

 private:
  /// Rows of numbers per channel: a and b of the norm, mean and inverse deviation of its group, then the coefficients
  /// of the given tensor and of the map, and the added constant.
  enum Row { kScale, kBias, kMean, kInverse, kGiven, kMap, kShift, kRows };

  /// Number of floats per sample: the statistics, the sums of every chunk, the rows.
  [[nodiscard]] std::size_t sample_floats() const {
    return 2 * statistics_.floats() + std::size_t{kRows} * static_cast<std::size_t>(channels_);
  }
  [[nodiscard]] float* sample_scratch(const RunContext& context, int n) const {
    return context.scratch + static_cast<std::size_t>(n) * sample_floats();
  }
  [[nodiscard]] float* chunk_sums(const RunContext& context, int n, int chunk) const {
    return sample_scratch(context, n) + statistics_.floats() + static_cast<std::ptrdiff_t>(2 * chunk) * channels_;
  }
  [[nodiscard]] float* row(const RunContext& context, int n, Row which) const {
    return sample_scratch(context, n) + 2 * statistics_.floats() + static_cast<std::ptrdiff_t>(which) * channels_;
  }

  [[nodiscard]] NormDerivative arguments(const RunContext& context, const MapView& in, const MapView& given, int n,
                                         Range pixels) const {
    return {in.sample(n) + pixels.first * in.pixel_stride,
            in.pixel_stride,
            given.sample(n) + pixels.first * given.pixel_stride,
            given.pixel_stride,
            pixels.last - pixels.first,
            channels_,
            row(context, n, kScale),
            row(context, n, kBias),
            attributes_.silu != 0,
            is_backward_};
  }

  void fold_norm(const RunContext& context, int n) const {
    const int group = channels_ / attributes_.groups;
    const float* vector = operands_.input(2) >= 0 ? context.map(operands_.input(2)).sample(n) : nullptr;
    for (int g = 0; g < attributes_.groups; ++g) {
      const auto [mean, inverse] = statistics_.moments(sample_scratch(context, n), g);
      for (int c = g * group; c < (g + 1) * group; ++c) {
        const double factor = vector != nullptr ? 1.0 + vector[c] : 1.0;
        const double scale = gamma_->floats()[c] * factor;
        const double shift = beta_->floats()[c] * factor + (vector != nullptr ? vector[channels_ + c] : 0.0);
        row(context, n, kScale)[c] = static_cast<float>(scale * inverse);
        row(context, n, kBias)[c] = static_cast<float>(shift - mean * scale * inverse);
        row(context, n, kMean)[c] = static_cast<float>(mean);
        row(context, n, kInverse)[c] = static_cast<float>(inverse);
        // The row first holds the norm's factor for a normalised channel, until the coefficients are known.
        row(context, n, kGiven)[c] = static_cast<float>(scale);
      }
    }
  }

  /// Computes every chunk's sums of the given tensor and of its products with the map, and the samples' if asked for.
  void add_up(const RunContext& context, ThreadPool& pool, Range samples, const MapView& in,
              const MapView& given) const {
    statistics_.for_chunks(pool, samples, [&](int n, int chunk) {
      float* sums = chunk_sums(context, n, chunk);
      const Range range{chunk * GroupStatistics::kPixels,
                        chunk * GroupStatistics::kPixels + statistics_.pixels_of(chunk)};
      context.device.isa.norm_derivative_sums(arguments(context, in, given, n, range), row(context, n, kMean), sums,
                                              sums + channels_);
    });
    if (operands_.outputs() == 1) return;
    const MapView sums = context.map(operands_.output(1));
    for (int n = samples.first; n < samples.last; ++n) store_sums(context, n, sums.sample(n));
  }

  /// Adds up all chunks' sums of the given tensor and of its products with the normalised map.
  [[nodiscard]] std::array<double, 2> sums_of(const RunContext& context, int n, int c) const {
    double sum = 0;
    double product = 0;
    for (int chunk = 0; chunk < statistics_.chunks(); ++chunk) {
      sum += chunk_sums(context, n, chunk)[c];
      product += chunk_sums(context, n, chunk)[channels_ + c];
    }
    return {sum, product * row(context, n, kInverse)[c]};
  }

  /// Stores the sums of the cotangent's products with the normalised map, then of the cotangent.
  void store_sums(const RunContext& context, int n, float* to) const {
    for (int c = 0; c < channels_; ++c) {
      const auto [sum, product] = sums_of(context, n, c);
      to[c] = static_cast<float>(product);
      to[channels_ + c] = static_cast<float>(sum);
    }
  }

  void fold_derivative(const RunContext& context, int pixels, int n) const {
    const int group = channels_ / attributes_.groups;
    const double elements = static_cast<double>(group) * pixels;
    float* scales = row(context, n, kGiven);
    for (int first = 0; first < channels_; first += group) {
      double mean = 0;
      double projection = 0;
      for (int c = first; c < first + group; ++c) {
        const auto [sum, product] = sums_of(context, n, c);
        const double weight = is_backward_ ? scales[c] : 1.0;
        mean += weight * sum / elements;
        projection += weight * product / elements;
      }
      for (int c = first; c < first + group; ++c) {
        const double inverse = row(context, n, kInverse)[c];
        const double outside = is_backward_ ? inverse : inverse * scales[c];
        const double map = -outside * inverse * projection;
        scales[c] = static_cast<float>(is_backward_ ? inverse * scales[c] : outside);
        row(context, n, kMap)[c] = static_cast<float>(map);
        row(context, n, kShift)[c] =
            static_cast<float>(-outside * mean - map * static_cast<double>(row(context, n, kMean)[c]));
      }
    }
  }

  Operands operands_;
  bool is_backward_;
  dpm_group_norm_attributes attributes_;
  GroupStatistics statistics_;
  Packed gamma_;
  Packed beta_;
  int channels_;
};

/// The cotangent of a norm's scale and shift, from the sums of its derivative.
class NormVector : public Layer {
 public:
  NormVector(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        gamma_(factory.packing.vectors(node.weights, 1)),
        beta_(factory.packing.vectors(node.biases, 1)) {}

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    const int channels = in.channels / 2;
    for (int n = 0; n < context.batch; ++n) {
      const float* products = in.sample(n);
      const float* sums = products + channels;
      float* to = out.sample(n);
      for (int c = 0; c < channels; ++c) {
        to[c] = gamma_->floats()[c] * products[c] + beta_->floats()[c] * sums[c];
        to[channels + c] = sums[c];
      }
    }
  }

 private:
  Operands operands_;
  Packed gamma_;
  Packed beta_;
};

}  // namespace

std::unique_ptr<Layer> make_norm_vector(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<NormVector>(factory, node);
}

std::unique_ptr<Layer> make_norm_derivative(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<NormDerivativeLayer>(factory, node);
}

}  // namespace dpm::cpu
