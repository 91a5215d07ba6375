#include "graph/attribute_ranges.h"

#include <cmath>

#include "core/error.h"

namespace dpm::graph {
namespace {

// Devices keep an array with one entry per tap.
constexpr int kLargestKernel = 7;
constexpr int kLargestStride = 4;
constexpr int kLongestEmbedding = 1 << 16;

class Ranges {
 public:
  explicit Ranges(const Node& node) : node_(node) {}

  void operator()(std::monostate /*none*/) const {}

  void operator()(const TimeEmbedding& embedding) const {
    expect(embedding.length >= 2 && embedding.length <= kLongestEmbedding, "length");
    expect(std::isfinite(embedding.frequency_shift), "frequencyShift");
    // The exponents of the frequencies are divided by `half - frequency_shift`.
    const int half = embedding.length / 2;
    expect(!node_.weights.empty() || static_cast<float>(half) - embedding.frequency_shift > 0.0F, "frequencyShift");
  }

  void operator()(const Convolution& convolution) const {
    const auto pads = [&](int zeros) { return zeros >= 0 && zeros < convolution.kernel; };
    expect(convolution.kernel >= 1 && convolution.kernel <= kLargestKernel, "kernel");
    expect(convolution.stride >= 1 && convolution.stride <= kLargestStride, "stride");
    expect(pads(convolution.pad_before), "padBefore");
    expect(pads(convolution.pad_after), "padAfter");
    expect(!convolution.upsample || !convolution.zero_upsample, "zeroUpsample");
    expect(std::isfinite(convolution.scale), "scale");
    if (node_.op == DPM_OP_CONVOLUTION_WEIGHTS) expect_plain(convolution);
  }

  void operator()(const GroupNorm& norm) const {
    expect(!norm.sums || node_.op == DPM_OP_GROUP_NORM_BACKWARD, "sums");
    expect(norm.groups >= 1, "groups");
    expect(std::isfinite(norm.epsilon) && norm.epsilon >= 0.0F, "epsilon");
  }

  void operator()(const LayerNorm& norm) const {
    expect(!norm.products || node_.op == DPM_OP_LAYER_NORM_BACKWARD, "products");
    expect(std::isfinite(norm.epsilon) && norm.epsilon >= 0.0F, "epsilon");
  }

  void operator()(const Attention& attention) const {
    expect(attention.heads >= 1, "heads");
    expect(!attention.causal || node_.op != DPM_OP_ATTENTION_TANGENT, "causal");
  }

  void operator()(const Affine& affine) const {
    expect(std::isfinite(affine.scale), "scale");
    expect(std::isfinite(affine.shift), "shift");
  }

  void operator()(const Upsample& upsample) const {
    expect(upsample.height >= 0, "height");
    expect(upsample.width >= 0, "width");
  }

  void operator()(const FirUpsample& filter) const {
    expect(filter.extension == 0 || filter.extension == 1, "extension");
  }

  void operator()(const FirDownsample& filter) const { expect(filter.padding == 0 || filter.padding == 1, "padding"); }

  void operator()(const Activation& activation) const {
    const bool is_derivative = node_.op == DPM_OP_ACTIVATION_BACKWARD;
    const std::uint32_t kind = activation.kind;
    expect(kind < DPM_ACTIVATION_COUNT && (is_derivative || kind != DPM_ACTIVATION_SILU), "kind");
  }

  void operator()(const Dropout& dropout) const { expect(dropout.rate >= 0.0F && dropout.rate < 1.0F, "rate"); }

  void operator()(const View& view) const {
    expect(view.first >= 0, "first");
    expect(view.channels >= 1, "channels");
    expect(view.height >= 1, "height");
    expect(view.width >= 1, "width");
  }

  void operator()(const EmbeddingWeights& table) const { expect(table.rows >= 1, "rows"); }

 private:
  /// The gradient of weights is of the product alone.
  void expect_plain(const Convolution& convolution) const {
    expect(!convolution.upsample, "upsample");
    expect(!convolution.zero_upsample, "zeroUpsample");
    expect(!convolution.silu, "silu");
    expect(convolution.scale == 1.0F, "scale");
    expect(!convolution.beside, "beside");
  }

  void expect(bool holds, const char* attribute) const {
    if (!holds) throw Error(ErrorCode::kArgument, node_.name + ": " + attribute + " is out of range");
  }

  const Node& node_;
};

}  // namespace

void check_attributes(const Node& node) { std::visit(Ranges(node), node.attributes); }

}  // namespace dpm::graph
