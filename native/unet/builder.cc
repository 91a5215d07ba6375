#include "unet/builder.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "core/error.h"

namespace dpm::unet {
namespace {

using graph::Graph;
using graph::Node;

class Builder {
 public:
  Builder(const Description& description, const Weights& weights) : description_(description), weights_(weights) {}

  Graph build() {
    const int image =
        graph_.add_input(DPM_BINDING_IMAGE, description_.in_channels, description_.height, description_.width);
    embed_time();
    int input = image;
    if (description_.center_input) {
      input = graph_.add(graph::make_node(DPM_OP_AFFINE, "center_input", {image}, graph::Affine{2, -1}));
    }
    image_ = input;
    plain_image_ = input == image ? image : -1;
    current_ = convolution("conv_in", input, 3, 1, 1, 1);
    for (const Block& block : description_.blocks) add_block(block);
    if (!skips_.empty()) throw Error(ErrorCode::kArgument, "a skip is pushed and never popped");
    graph_.bind_output(final_output(), DPM_BINDING_OUTPUT);
    if (description_.has_head) add_head();
    return std::move(graph_);
  }

 private:
  static Node node(dpm_op op, const std::string& name, int input) { return graph::make_node(op, name, {input}); }

  /// Each weight is one constant, whoever reads it.
  int constant(const std::string& name) {
    const auto known = constants_.find(name);
    if (known != constants_.end()) return known->second;
    return constants_[name] = graph_.add_constant(weights_.get(name));
  }

  int convolution(const std::string& name, int input, int kernel, int stride, int pad_before, int pad_after) {
    Node product = node(DPM_OP_CONVOLUTION, name, input);
    product.attributes = graph::Convolution{kernel, stride, pad_before, pad_after};
    product.weights = {constant(name + ".weight")};
    Node bias = node(DPM_OP_BIAS, name + ".bias", graph_.add(product));
    bias.biases = {constant(name + ".bias")};
    return graph_.add(bias);
  }

  int product(const std::string& name, int input) { return convolution(name, input, 1, 1, 0, 0); }

  int silu(const std::string& name, int input) { return graph_.add(node(DPM_OP_SILU, name, input)); }

  int group_norm(const std::string& name, int input, int groups, float epsilon) {
    Node norm = node(DPM_OP_GROUP_NORM, name, input);
    norm.attributes = graph::GroupNorm{groups, epsilon};
    norm.weights = {constant(name + ".weight")};
    norm.biases = {constant(name + ".bias")};
    return graph_.add(norm);
  }

  int add(const std::string& name, int left, int right) {
    return graph_.add(graph::make_node(DPM_OP_ADD, name, {left, right}));
  }

  int final_output() {
    if (description_.result_alone) {
      if (result_ < 0) throw Error(ErrorCode::kArgument, "the network has no output");
      return copy("output", result_);
    }
    const int out =
        output("conv_norm_out", "conv_out", current_, description_.output_groups, description_.output_epsilon);
    return result_ < 0 ? out : copy("output", add("output.add", out, result_));
  }

  int scaled(const std::string& name, int input, float scale) {
    if (scale == 1.0F) return input;
    return graph_.add(graph::make_node(DPM_OP_AFFINE, name, {input}, graph::Affine{scale}));
  }

  void embed_time() {
    const int time = graph_.add_input(DPM_BINDING_TIME, 1, 1, 1);
    int embedding = features("time_proj", time);
    const bool has_classes = description_.classes > 0;
    const bool first = description_.class_embedding == Description::ClassEmbedding::kScaledRow;
    if (has_classes && first) embedding = add("class_embedding.add", embedding, scaled_class_row());
    embedding = embedding_mlp("time_embedding", embedding);
    if (has_classes && !first) embedding = add("class_embedding.add", embedding, embedded_class());
    embedding_ = silu("time_embedding.silu", embedding);
  }

  int embedding_mlp(const std::string& name, int input) {
    return product(name + ".linear_2", silu(name + ".act", product(name + ".linear_1", input)));
  }

  /// Of the time, or of a label that is embedded like one.
  int features(const std::string& name, int input) {
    if (description_.time_rows) return row(name, input, "time_proj.weight");
    Node sinusoids = node(DPM_OP_TIME_EMBEDDING, name, input);
    sinusoids.attributes = graph::TimeEmbedding{description_.time_channels, description_.frequency_shift,
                                                description_.cosine_first, description_.logarithmic};
    if (description_.fourier) sinusoids.weights = {constant("time_proj.weight")};
    return graph_.add(sinusoids);
  }

  int row(const std::string& name, int input, const std::string& table) {
    Node rows = node(DPM_OP_EMBEDDING, name, input);
    rows.weights = {constant(table)};
    return graph_.add(rows);
  }

  int class_row(int label) { return row("class_embedding", label, "class_embedding.weight"); }

  int embedded_class() {
    const int label = graph_.add_input(DPM_BINDING_LABEL, 1, 1, 1);
    if (description_.class_embedding == Description::ClassEmbedding::kRow) return class_row(label);
    return embedding_mlp("class_embedding", features("class_embedding.features", label));
  }

  /// EDM scales its one-hot labels so that their variance does not depend on the number of classes.
  int scaled_class_row() {
    const int label = graph_.add_input(DPM_BINDING_LABEL, 1, 1, 1);
    Node scale = node(DPM_OP_AFFINE, "class_embedding.scale", class_row(label));
    graph::affine_of(scale).scale = std::sqrt(static_cast<float>(description_.classes));
    Node bias = node(DPM_OP_BIAS, "class_embedding.bias", graph_.add(scale));
    bias.biases = {constant("class_embedding.bias")};
    return graph_.add(bias);
  }

  void add_block(const Block& block) {
    switch (block.kind) {
      case Block::Kind::kPush:
        skips_.push_back(current_);
        return;
      case Block::Kind::kPop:
        pop();
        return;
      case Block::Kind::kResidual:
        current_ = residual(block, current_);
        return;
      case Block::Kind::kAttention:
        current_ = attention(block, current_);
        return;
      case Block::Kind::kDownsample:
        current_ = convolution(block.name, current_, 3, 2, block.asymmetric ? 0 : 1, 1);
        return;
      case Block::Kind::kUpsample:
        current_ =
            convolution(block.name, graph_.add(node(DPM_OP_UPSAMPLE, block.name + ".nearest", current_)), 3, 1, 1, 1);
        return;
      case Block::Kind::kResample:
        current_ = resampled(block, "resample", current_);
        return;
      case Block::Kind::kImageResample:
        image_ = image_map();
        image_ = resampled(block, "image.resample", image_);
        return;
      case Block::Kind::kImageCombine:
        combine_image(block);
        return;
      case Block::Kind::kImageResidual:
        image_ = current_ =
            scaled(block.name + ".scale", add(block.name + ".add", image_down(block), current_), block.scale);
        return;
      case Block::Kind::kResultAdd:
        add_result(block);
        return;
      case Block::Kind::kResultResample:
        if (result_ < 0) throw Error(ErrorCode::kArgument, "there is no result to resample");
        result_ = resampled(block, "result.resample", result_);
        return;
    }
  }

  void pop() {
    if (skips_.empty()) throw Error(ErrorCode::kArgument, "a skip is popped that was never pushed");
    current_ = graph_.add(graph::make_node(DPM_OP_CONCAT, "concat", {current_, skips_.back()}));
    skips_.pop_back();
  }

  int resampled(const Block& block, const std::string& name, int input) {
    switch (block.resample) {
      case Block::Resample::kNone:
        return input;
      case Block::Resample::kMean:
        return graph_.add(node(DPM_OP_AVERAGE_POOL, name, input));
      case Block::Resample::kNearest:
        return graph_.add(node(DPM_OP_UPSAMPLE, name, input));
      case Block::Resample::kFirDown:
        return fir_down(name, input, 1);
      case Block::Resample::kFirUp:
        return graph_.add(node(DPM_OP_FIR_UPSAMPLE, name, input));
    }
    return input;
  }

  /// The network's input itself is laid out by its reader; as a map it is a copy.
  int image_map() {
    if (image_ == plain_image_) image_ = copy("image", image_);
    return image_;
  }

  int copy(const std::string& name, int input) { return graph_.add(node(DPM_OP_AFFINE, name + ".copy", input)); }

  int fir_down(const std::string& name, int input, int padding) {
    Node filter = node(DPM_OP_FIR_DOWNSAMPLE, name, input);
    filter.attributes = graph::FirDownsample{padding};
    return graph_.add(filter);
  }

  void combine_image(const Block& block) {
    const int projected = product(block.name, image_map());
    if (!block.concat) {
      current_ = add(block.name + ".add", projected, current_);
      return;
    }
    current_ = graph_.add(graph::make_node(DPM_OP_CONCAT, block.name + ".concat", {projected, current_}));
  }

  /// The image at half the size, in h's channels. Filtering before a convolution of stride 2 is the same as convolving
  /// at full size and filtering down: both are correlations, without zeros between them.
  int image_down(const Block& block) {
    const int image = image_map();
    if (!block.filtered) return convolution(block.name, image, 3, 2, 0, 1);
    return fir_down(block.name + ".fir", convolution(block.name, image, 3, 1, 2, 2), 0);
  }

  void add_result(const Block& block) {
    const int own = output(block.norm, block.name, current_, block.groups1, block.epsilon);
    result_ = result_ < 0 ? own : add(block.name + ".add", own, result_);
  }

  int residual(const Block& block, int x) {
    const std::string& name = block.name;
    int h = silu(name + ".act1", group_norm(name + ".norm1", x, block.groups1, block.epsilon));
    h = convolution(name + ".conv1", resampled(block, name + ".resample", h), 3, 1, 1, 1);
    const int projection = product(name + ".time_emb_proj", embedding_);
    if (!block.scale_shift) h = channel_op(DPM_OP_CHANNEL_ADD, name + ".time_add", h, projection);
    h = group_norm(name + ".norm2", h, block.groups2, block.epsilon);
    if (block.scale_shift) h = channel_op(DPM_OP_SCALE_SHIFT, name + ".scale_shift", h, projection);
    int shortcut = resampled(block, name + ".resample_shortcut", x);
    if (block.shortcut) shortcut = product(name + ".conv_shortcut", shortcut);
    h = convolution(name + ".conv2", silu(name + ".act2", h), 3, 1, 1, 1);
    return scaled(name + ".scale", add(name + ".add", h, shortcut), block.scale);
  }

  int channel_op(dpm_op op, const std::string& name, int map, int vector) {
    return graph_.add(graph::make_node(op, name, {map, vector}));
  }

  int attention(const Block& block, int x) {
    const std::string& name = block.name;
    const int normed = block.groups1 > 0 ? group_norm(name + ".group_norm", x, block.groups1, block.epsilon) : x;
    const int query = product(name + ".to_q", normed);
    const int key = product(name + ".to_k", normed);
    const int value = product(name + ".to_v", normed);
    Node attend = graph::make_node(DPM_OP_ATTENTION, name, {query, key, value}, graph::Attention{block.heads});
    const int projected = product(name + ".to_out.0", graph_.add(attend));
    return scaled(name + ".scale", add(name + ".add", projected, x), block.scale);
  }

  int output(const std::string& norm, const std::string& convolution_name, int input, int groups, float epsilon) {
    return convolution(convolution_name, silu(norm + ".silu", group_norm(norm, input, groups, epsilon)), 3, 1, 1, 1);
  }

  void add_head() {
    const Head& head = description_.head;
    int features = current_;
    if (head.complex) {
      Block block;
      block.kind = Block::Kind::kResidual;
      block.name = head.prefix + ".resnet";
      block.groups1 = block.groups2 = head.groups;
      block.epsilon = head.epsilon;
      // The extra block is of the network's own kind.
      block.scale_shift = std::any_of(description_.blocks.begin(), description_.blocks.end(),
                                      [](const Block& other) { return other.scale_shift; });
      features = residual(block, features);
    }
    const int out = output(head.prefix + ".norm_out", head.prefix + ".conv_out", features, head.groups, head.epsilon);
    graph_.bind_output(out, DPM_BINDING_HEAD);
  }

  const Description& description_;
  const Weights& weights_;
  Graph graph_;
  std::map<std::string, int> constants_;
  std::vector<int> skips_;
  int embedding_ = -1;
  int current_ = -1;
  int image_ = -1;
  int plain_image_ = -1;
  int result_ = -1;
};

}  // namespace

graph::Graph build_graph(const Description& description, const Weights& weights) {
  return Builder(description, weights).build();
}

}  // namespace dpm::unet
