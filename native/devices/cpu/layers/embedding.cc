// Sinusoidal embeddings and rows of tables, of times and labels.
#include <cmath>

#include "backend/constant.h"
#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {
namespace {

constexpr float kTurn = 6.28318530717958647692F;

/// What is embedded: the time or the label of each sample.
class Embedded {
 public:
  Embedded(const LayerFactory& factory, const dpm_node& node)
      : role_(static_cast<dpm_role>(factory.graph.values[node.inputs[0]].role)) {}

  /// -1 for samples without a label.
  [[nodiscard]] float at(const RunContext& context, int n) const {
    const void* values = context.external(role_);
    if (role_ == DPM_ROLE_TIME) return static_cast<const float*>(values)[n];
    return values == nullptr ? -1.0F : static_cast<float>(static_cast<const std::int32_t*>(values)[n]);
  }

 private:
  dpm_role role_;
};

class TimeEmbedding : public Layer {
 public:
  TimeEmbedding(const LayerFactory& factory, const dpm_node& node) : node_(node), embedded_(factory, node) {
    const int half = node.groups / 2;
    if (node.parts > 0) {
      const dpm_constant& weight = factory.graph.constants[node.weights[0]];
      for (int i = 0; i < half; ++i) frequencies_.push_back(load_constant(weight, static_cast<std::size_t>(i)));
      turns_ = true;
      node_.weights = nullptr;
      return;
    }
    // Frequencies and angles in float32, as the original networks compute them: at t near 1000 a double would differ
    // by more than all other rounding.
    const float step = -9.210340371976184F / (static_cast<float>(half) - node.frequency_shift);
    for (int i = 0; i < half; ++i) frequencies_.push_back(std::exp(static_cast<float>(i) * step));
  }

  void run(const RunContext& context) const override {
    const MapView out = context.map(node_.output);
    const auto half = static_cast<int>(frequencies_.size());
    const int cosine = node_.cosine_first != 0 ? 0 : half;
    for (int n = 0; n < context.batch; ++n) {
      float* row = out.sample(n);
      const float number = embedded_.at(context, n);
      const float time = node_.logarithmic != 0 ? std::log(number) : number;
      for (int i = 0; i < half; ++i) {
        const float product = time * frequencies_[static_cast<std::size_t>(i)];
        const float angle = turns_ ? product * kTurn : product;
        row[half - cosine + i] = std::sin(angle);
        row[cosine + i] = std::cos(angle);
      }
      if (out.channels % 2 != 0) row[out.channels - 1] = 0.0F;
    }
  }

 private:
  dpm_node node_;
  Embedded embedded_;
  std::vector<float> frequencies_;
  /// The frequencies are those of whole turns (Fourier features).
  bool turns_ = false;
};

class Embedding : public Layer {
 public:
  Embedding(const LayerFactory& factory, const dpm_node& node)
      : node_(node), embedded_(factory, node), table_(factory.floats(node.weights[0])) {
    rows_ = static_cast<int>(factory.graph.constants[node.weights[0]].dims[0]);
    node_.weights = nullptr;
  }

  void run(const RunContext& context) const override {
    const MapView out = context.map(node_.output);
    for (int n = 0; n < context.batch; ++n) {
      const float number = embedded_.at(context, n);
      // As -0.5 is truncated to 0; what is no number has no row.
      if (number > -1.0F && number < static_cast<float>(rows_)) {
        std::copy_n(table_.floats() + static_cast<std::ptrdiff_t>(number) * out.channels, out.channels, out.sample(n));
      } else {
        std::fill_n(out.sample(n), out.channels, 0.0F);
      }
    }
  }

 private:
  dpm_node node_;
  Embedded embedded_;
  CountedBuffer table_;
  int rows_ = 0;
};

}  // namespace

std::unique_ptr<Layer> make_embedding(const LayerFactory& factory, const dpm_node& node) {
  if (node.op == DPM_OP_EMBEDDING) return std::make_unique<Embedding>(factory, node);
  return std::make_unique<TimeEmbedding>(factory, node);
}

}  // namespace dpm::cpu
