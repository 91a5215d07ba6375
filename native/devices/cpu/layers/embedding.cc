// Sinusoidal embeddings and table rows of times and labels; the label's score for logits.
#include <algorithm>
#include <cmath>

#include "backend/constant.h"
#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {
namespace {

constexpr float kTurn = 6.28318530717958647692F;

/// The embedded quantity: the time or the label of each sample.
class Embedded {
 public:
  Embedded(const LayerFactory& factory, const dpm_node& node, std::uint32_t input = 0)
      : binding_(factory.graph.values[input_of(node, input)].binding),
        is_label_(factory.graph.bindings[binding_].element == DPM_ELEMENT_I32) {}

  /// Returns the number for sample n; -1 for samples without a label.
  [[nodiscard]] float at(const RunContext& context, int n) const {
    const void* values = context.bound(binding_);
    if (values == nullptr) return -1.0F;
    return is_label_ ? static_cast<float>(static_cast<const std::int32_t*>(values)[n])
                     : static_cast<const float*>(values)[n];
  }

  /// Returns the row of a table of `rows` rows that sample n has, -1 where it has none. Numbers above -1 are truncated
  /// to 0 (-0.5, for example); a NaN has no row.
  [[nodiscard]] int row(const RunContext& context, int n, int rows) const {
    const float number = at(context, n);
    return number > -1.0F && number < static_cast<float>(rows) ? static_cast<int>(number) : -1;
  }

 private:
  int binding_;
  bool is_label_;
};

class TimeEmbedding : public Layer {
 public:
  TimeEmbedding(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), attributes_(time_embedding_of(node)), embedded_(factory, node) {
    const int half = attributes_.length / 2;
    if (node.weight_count > 0) {
      has_whole_turns_ = true;
      const ConstantElements elements(factory.graph.constants[node.weights[0]]);
      for (std::size_t i = 0; i < static_cast<std::size_t>(half); ++i) frequencies_.push_back(elements[i]);
      return;
    }
    // Frequencies and angles are float32, as in the original networks: at t near 1000 a double would differ by more
    // than all other rounding.
    const float step = -9.210340371976184F / (static_cast<float>(half) - attributes_.frequency_shift);
    for (int i = 0; i < half; ++i) frequencies_.push_back(std::exp(static_cast<float>(i) * step));
  }

  void run(const RunContext& context) const override {
    const MapView out = context.map(operands_.output());
    const auto half = static_cast<int>(frequencies_.size());
    const int cosine = attributes_.cosine_first != 0 ? 0 : half;
    for (int n = 0; n < context.batch; ++n) {
      float* row = out.sample(n);
      const float number = embedded_.at(context, n);
      const float time = attributes_.logarithmic != 0 ? std::log(number) : number;
      for (int i = 0; i < half; ++i) {
        const float product = time * frequencies_[static_cast<std::size_t>(i)];
        const float angle = has_whole_turns_ ? product * kTurn : product;
        row[half - cosine + i] = std::sin(angle);
        row[cosine + i] = std::cos(angle);
      }
      if (out.channels % 2 != 0) row[out.channels - 1] = 0.0F;
    }
  }

 private:
  Operands operands_;
  dpm_time_embedding_attributes attributes_;
  Embedded embedded_;
  std::vector<float> frequencies_;
  /// Frequencies from a file (Fourier features) count whole turns.
  bool has_whole_turns_ = false;
};

class Embedding : public Layer {
 public:
  Embedding(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), embedded_(factory, node), table_(factory.packing.vectors(node.weights, 1)) {
    rows_ = static_cast<int>(factory.graph.constants[node.weights[0]].dims[0]);
  }

  void run(const RunContext& context) const override {
    const MapView out = context.map(operands_.output());
    for (int n = 0; n < context.batch; ++n) {
      const int row = embedded_.row(context, n, rows_);
      if (row >= 0) {
        std::copy_n(table_->floats() + static_cast<std::ptrdiff_t>(row) * out.channels, out.channels, out.sample(n));
      } else {
        std::fill_n(out.sample(n), out.channels, 0.0F);
      }
    }
  }

 private:
  Operands operands_;
  Embedded embedded_;
  Packed table_;
  int rows_ = 0;
};

/// Gradients of a table: each sample's cotangent is added to the row that it read.
class EmbeddingWeights : public Layer {
 public:
  EmbeddingWeights(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), embedded_(factory, node), rows_(node.attributes.embedding_weights.rows) {}

  void run(const RunContext& context) const override {
    const MapView d = context.map(operands_.input(1));
    float* table = context.map(operands_.output()).data;
    for (int n = 0; n < context.batch; ++n) {
      const int row = embedded_.row(context, n, rows_);
      if (row < 0) continue;
      float* to = table + static_cast<std::ptrdiff_t>(row) * d.channels;
      for (int c = 0; c < d.channels; ++c) to[c] += d.sample(n)[c * d.channel_stride];
    }
  }

 private:
  Operands operands_;
  Embedded embedded_;
  int rows_;
};

/// Derivative of ln p(label) by each sample's logits, which are few.
class LabelScore : public Layer {
 public:
  LabelScore(const LayerFactory& factory, const dpm_node& node) : operands_(node), label_(factory, node, 1) {}

  void run(const RunContext& context) const override {
    const MapView logits = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    for (int n = 0; n < context.batch; ++n) {
      const float* in = logits.sample(n);
      float* score = out.sample(n);
      const int label = label_.row(context, n, logits.channels);
      const float largest = *std::max_element(in, in + logits.channels);
      float sum = 0;
      for (int k = 0; k < logits.channels; ++k) sum += std::exp(in[k] - largest);
      for (int k = 0; k < logits.channels; ++k) {
        const float one = k == label ? 1.0F : 0.0F;
        score[k] = label >= 0 ? one - std::exp(in[k] - largest) / sum : 0.0F;
      }
    }
  }

 private:
  Operands operands_;
  Embedded label_;
};

}  // namespace

std::unique_ptr<Layer> make_embedding(const LayerFactory& factory, const dpm_node& node) {
  if (node.op == DPM_OP_EMBEDDING) return std::make_unique<Embedding>(factory, node);
  if (node.op == DPM_OP_EMBEDDING_WEIGHTS) return std::make_unique<EmbeddingWeights>(factory, node);
  if (node.op == DPM_OP_LABEL_SCORE) return std::make_unique<LabelScore>(factory, node);
  return std::make_unique<TimeEmbedding>(factory, node);
}

}  // namespace dpm::cpu
