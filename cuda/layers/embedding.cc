#include "cuda/kernels/embedding.h"

#include <cmath>

#include "backend/bindings.h"
#include "backend/constant.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

/// Computes frequencies in float32, as the original networks do: their rounding, unlike a double's, is part of what the
/// networks were trained with.
std::vector<float> frequencies_of(const dpm_graph& graph, const dpm_node& node) {
  const int half = time_embedding_of(node).length / 2;
  if (node.weight_count > 0) {
    std::vector<float> stored;
    stored.reserve(static_cast<std::size_t>(half));
    const ConstantElements elements(graph.constants[node.weights[0]]);
    for (int i = 0; i < half; ++i) stored.push_back(elements[static_cast<std::size_t>(i)]);
    return stored;
  }
  const float step = -std::log(10000.0F) / (static_cast<float>(half) - time_embedding_of(node).frequency_shift);
  std::vector<float> frequencies;
  frequencies.reserve(static_cast<std::size_t>(half));
  for (int i = 0; i < half; ++i) frequencies.push_back(std::exp(static_cast<float>(i) * step));
  return frequencies;
}

bool reads_labels(const LayerFactory& factory, const dpm_node& node) {
  return is_bound_to(factory.graph, factory.graph.values[input_of(node, 0)], DPM_BINDING_LABEL);
}

Embedded embedded(const RunContext& context, bool labels) {
  return labels ? Embedded{nullptr, context.labels} : Embedded{context.time, nullptr};
}

template <typename T>
class TimeEmbeddingLayer : public Layer {
 public:
  TimeEmbeddingLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        attributes_(time_embedding_of(node)),
        is_fourier_(node.weight_count > 0),
        reads_labels_(reads_labels(factory, node)) {
    const std::vector<float> frequencies = frequencies_of(factory.graph, node);
    frequencies_ = factory.device.allocate(frequencies.size() * sizeof(float));
    factory.device.staging.upload(factory.device.stream, frequencies_.data(), frequencies.data(), frequencies_.bytes());
  }

  void run(const RunContext& context) const override {
    const Map<T> y = context.map<T>(operands_.output());
    TimeEmbeddingArguments<T> a{};
    a.time = embedded(context, reads_labels_);
    a.frequencies = frequencies_.as<float>();
    a.y = y.data;
    a.y_stride = y.sample_stride;
    a.batch = context.samples;
    a.length = attributes_.length;
    a.cosine_first = attributes_.cosine_first != 0;
    a.logarithmic = attributes_.logarithmic != 0;
    if (is_fourier_) a.turn = 6.28318530717958647692F;
    time_embedding(a, context.stream);
  }

 private:
  Operands operands_;
  dpm_time_embedding_attributes attributes_;
  bool is_fourier_;
  bool reads_labels_;
  DeviceMemory frequencies_;
};

template <typename T>
class RowEmbeddingLayer : public Layer {
 public:
  RowEmbeddingLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        reads_labels_(reads_labels(factory, node)),
        channels_(factory.value(output_of(node)).shape.channels) {
    const dpm_constant& table = factory.graph.constants[node.weights[0]];
    rows_ = static_cast<int>(table.dims[0]);
    table_ = factory.table(node);
  }

  void run(const RunContext& context) const override {
    const Map<T> y = context.map<T>(operands_.output());
    RowEmbeddingArguments<T> a{};
    a.row = embedded(context, reads_labels_);
    a.table = address<T>(table_);
    a.y = y.data;
    a.y_stride = y.sample_stride;
    a.batch = context.samples;
    a.rows = rows_;
    a.channels = channels_;
    row_embedding(a, context.stream);
  }

 private:
  Operands operands_;
  bool reads_labels_;
  int channels_;
  int rows_ = 0;
  Packed table_;
};

/// Adds the cotangent of each sample to the row that it read.
template <typename T>
class TableGradientLayer : public Layer {
 public:
  TableGradientLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        reads_labels_(reads_labels(factory, node)),
        rows_(embedding_weights_of(node).rows),
        channels_(factory.value(input_of(node, 1)).shape.channels) {}

  void run(const RunContext& context) const override {
    const Map<const T> d = context.map<const T>(operands_.input(1));
    table_gradient(TableGradientArguments<T>{embedded(context, reads_labels_), d.data, d.sample_stride,
                                             context.sum(operands_.output()), context.samples, rows_, channels_},
                   context.stream);
  }

 private:
  Operands operands_;
  bool reads_labels_;
  int rows_;
  int channels_;
};

template <typename T>
class LabelScoreLayer : public Layer {
 public:
  LabelScoreLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), classes_(factory.value(output_of(node)).shape.channels) {}

  void run(const RunContext& context) const override {
    const Map<const T> x = context.map<const T>(operands_.input(0));
    const Map<T> y = context.map<T>(operands_.output());
    label_score(LabelScoreArguments<T>{embedded(context, true), x.data, x.sample_stride, y.data, y.sample_stride,
                                       context.samples, classes_},
                context.stream);
  }

 private:
  Operands operands_;
  int classes_;
};

}  // namespace

std::unique_ptr<Layer> make_embedding(const LayerFactory& factory, const dpm_node& node) {
  if (node.op == DPM_OP_EMBEDDING) return make_stored<RowEmbeddingLayer>(factory, node);
  if (node.op == DPM_OP_EMBEDDING_WEIGHTS) return make_stored<TableGradientLayer>(factory, node);
  if (node.op == DPM_OP_LABEL_SCORE) return make_stored<LabelScoreLayer>(factory, node);
  return make_stored<TimeEmbeddingLayer>(factory, node);
}

}  // namespace dpm::cuda
