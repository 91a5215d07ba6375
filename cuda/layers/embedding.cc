#include "cuda/kernels/embedding.h"

#include <cmath>

#include "backend/constant.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

/// Frequencies in float32, as the original networks compute them (unlike a double's rounding, theirs is part of what
/// they were trained with).
std::vector<float> frequencies_of(const dpm_graph& graph, const dpm_node& node) {
  const int half = node.groups / 2;
  if (node.parts > 0) {
    std::vector<float> stored;
    stored.reserve(static_cast<std::size_t>(half));
    for (int i = 0; i < half; ++i) {
      stored.push_back(load_constant(graph.constants[node.weights[0]], static_cast<std::size_t>(i)));
    }
    return stored;
  }
  const float step = -std::log(10000.0F) / (static_cast<float>(half) - node.frequency_shift);
  std::vector<float> frequencies;
  frequencies.reserve(static_cast<std::size_t>(half));
  for (int i = 0; i < half; ++i) frequencies.push_back(std::exp(static_cast<float>(i) * step));
  return frequencies;
}

Embedded embedded(const RunContext& context, dpm_role role) {
  return role == DPM_ROLE_TIME ? Embedded{context.time, nullptr} : Embedded{nullptr, context.labels};
}

template <typename T>
class TimeEmbeddingLayer : public Layer {
 public:
  TimeEmbeddingLayer(const LayerFactory& factory, const dpm_node& node)
      : node_(node), role_(static_cast<dpm_role>(factory.graph.values[node.inputs[0]].role)) {
    const std::vector<float> frequencies = frequencies_of(factory.graph, node);
    frequencies_ = factory.device.allocate(frequencies.size() * sizeof(float));
    factory.device.staging.upload(factory.device.stream, frequencies_.data(), frequencies.data(), frequencies_.bytes());
  }

  void run(const RunContext& context) const override {
    const Map<T> y = context.map<T>(node_.output);
    TimeEmbeddingArguments<T> a{};
    a.time = embedded(context, role_);
    a.frequencies = frequencies_.as<float>();
    a.y = y.data;
    a.y_stride = y.sample_stride;
    a.batch = context.samples;
    a.length = node_.groups;
    a.cosine_first = node_.cosine_first != 0;
    a.logarithmic = node_.logarithmic != 0;
    if (node_.parts > 0) a.turn = 6.28318530717958647692F;
    time_embedding(a, context.stream);
  }

 private:
  dpm_node node_;
  dpm_role role_;
  DeviceMemory frequencies_;
};

template <typename T>
class RowEmbeddingLayer : public Layer {
 public:
  RowEmbeddingLayer(const LayerFactory& factory, const dpm_node& node)
      : node_(node),
        role_(static_cast<dpm_role>(factory.graph.values[node.inputs[0]].role)),
        channels_(factory.value(node.output).shape.channels) {
    const dpm_constant& table = factory.graph.constants[node.weights[0]];
    rows_ = static_cast<int>(table.dims[0]);
    std::vector<float> values;
    const auto elements = static_cast<std::size_t>(rows_) * static_cast<std::size_t>(channels_);
    values.reserve(elements);
    for (std::size_t i = 0; i < elements; ++i) values.push_back(load_constant(table, i));
    table_ = factory.stored(values);
    node_.weights = nullptr;
  }

  void run(const RunContext& context) const override {
    const Map<T> y = context.map<T>(node_.output);
    RowEmbeddingArguments<T> a{};
    a.row = embedded(context, role_);
    a.table = table_.as<T>();
    a.y = y.data;
    a.y_stride = y.sample_stride;
    a.batch = context.samples;
    a.rows = rows_;
    a.channels = channels_;
    row_embedding(a, context.stream);
  }

 private:
  dpm_node node_;
  dpm_role role_;
  int channels_;
  int rows_ = 0;
  DeviceMemory table_;
};

}  // namespace

std::unique_ptr<Layer> make_embedding(const LayerFactory& factory, const dpm_node& node) {
  if (node.op == DPM_OP_EMBEDDING) return make_stored<RowEmbeddingLayer>(factory, node);
  return make_stored<TimeEmbeddingLayer>(factory, node);
}

}  // namespace dpm::cuda
