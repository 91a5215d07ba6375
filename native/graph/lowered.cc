#include "graph/lowered.h"

#include "backend/guard.h"

namespace dpm::graph {
namespace {

std::uint32_t count_of(const std::vector<int>& list) { return static_cast<std::uint32_t>(list.size()); }

/// Writes the attributes of one operation into the union.
struct Lowering {
  dpm_attributes& out;

  void operator()(std::monostate /*none*/) const {}
  void operator()(const TimeEmbedding& from) const {
    out.time_embedding = {from.length, from.frequency_shift, from.cosine_first ? 1 : 0, from.logarithmic ? 1 : 0};
  }
  void operator()(const Convolution& from) const {
    out.convolution = {from.kernel,    from.stride,           from.pad_before,
                       from.pad_after, from.upsample ? 1 : 0, from.silu ? 1 : 0,
                       from.scale,     from.beside ? 1 : 0,   from.zero_upsample ? 1 : 0};
  }
  void operator()(const GroupNorm& from) const { out.group_norm = {from.groups, from.epsilon, from.silu ? 1 : 0}; }
  void operator()(const LayerNorm& from) const { out.layer_norm = {from.epsilon}; }
  void operator()(const Attention& from) const { out.attention = {from.heads, from.causal ? 1 : 0}; }
  void operator()(const Affine& from) const { out.affine = {from.scale, from.shift}; }
  void operator()(const Upsample& from) const { out.upsample = {from.height, from.width}; }
  void operator()(const FirUpsample& from) const { out.fir_upsample = {from.extension}; }
  void operator()(const FirDownsample& from) const { out.fir_downsample = {from.padding}; }
  void operator()(const Activation& from) const { out.activation = {from.kind}; }
  void operator()(const View& from) const { out.view = {from.first, from.channels, from.height, from.width}; }
  void operator()(const EmbeddingWeights& from) const { out.embedding_weights = {from.rows}; }
  void operator()(const Dropout& from) const {
    out.dropout = {from.rate, from.draw, static_cast<std::uint32_t>(from.seed),
                   static_cast<std::uint32_t>(from.seed >> 32)};
  }
};

dpm_status read_constant(const void* source, void* to, dpm_message* message) noexcept {
  return guarded(message, [&] { static_cast<const Constant*>(source)->read(to); });
}

}  // namespace

dpm_node LoweredGraph::lower(const Node& node) {
  dpm_node out{};
  out.name = node.name.c_str();
  out.op = node.op;
  out.input_count = count_of(node.inputs);
  out.output_count = count_of(node.outputs);
  out.weight_count = count_of(node.weights);
  out.bias_count = count_of(node.biases);
  out.inputs = node.inputs.data();
  out.outputs = node.outputs.data();
  out.weights = node.weights.data();
  out.biases = node.biases.data();
  std::visit(Lowering{out.attributes}, node.attributes);
  return out;
}

dpm_constant lower(const Constant& constant) {
  dpm_constant out{};
  out.data = constant.data;
  out.read = read_constant;
  out.source = &constant;
  out.bytes = constant.bytes;
  out.dtype = static_cast<std::uint32_t>(constant.dtype);
  out.rank = static_cast<std::uint32_t>(constant.dims.size());
  for (std::size_t i = 0; i < constant.dims.size(); ++i) out.dims[i] = constant.dims[i];
  out.view_rank = static_cast<std::uint32_t>(constant.view_dims.size());
  for (std::size_t i = 0; i < constant.view_dims.size(); ++i) {
    out.view_dims[i] = constant.view_dims[i];
    out.view_strides[i] = constant.view_strides[i];
  }
  out.identity = constant.identity;
  out.parameter = constant.parameter;
  return out;
}

LoweredGraph::LoweredGraph(const Graph& graph) {
  for (const Value& value : graph.values) {
    values_.push_back(
        {value.channels, value.height, value.width, value.varies, value.parent, value.channel_offset, value.binding});
  }
  for (const Node& node : graph.nodes) nodes_.push_back(lower(node));
  for (const Constant& constant : graph.constants) constants_.push_back(graph::lower(constant));
  for (const Binding& binding : graph.bindings) {
    bindings_.push_back({binding.name.c_str(), static_cast<std::uint32_t>(binding.direction),
                         static_cast<std::uint32_t>(binding.element), binding.value});
  }
  graph_ = {values_.data(),    static_cast<std::uint32_t>(values_.size()),
            nodes_.data(),     static_cast<std::uint32_t>(nodes_.size()),
            constants_.data(), static_cast<std::uint32_t>(constants_.size()),
            bindings_.data(),  static_cast<std::uint32_t>(bindings_.size())};
}

}  // namespace dpm::graph
