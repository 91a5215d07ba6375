// A network whose pixels attend to the tokens of a text, with random weights.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "engine/network.h"
#include "graph_maker.h"

namespace dpm::test {

class SmallReader {
 public:
  enum class Output {
    kPrediction,
    kLearned,  ///< a prediction with the variance behind it
    kHead,     ///< a prediction, and a head
    kLogits,   ///< those of three classes
  };
  static constexpr int kVocabulary = 5;
  static constexpr int kTokens = 3;
  static constexpr int kChannels = 2;
  static constexpr int kSide = 4;
  static constexpr std::size_t kElements = std::size_t{kChannels} * kSide * kSide;

  /// @param text Text that the network sees always, as constants that do not learn; null: it takes a text.
  explicit SmallReader(Output output = Output::kPrediction, const std::vector<std::int32_t>* text = nullptr)
      : output_(output) {
    const int image = maker_.image(kChannels, kSide, kSide);
    const int x = layer(image, 3);
    const int context = text == nullptr
                            ? maker_.affine(maker_.graph().add_input(DPM_BINDING_CONTEXT, kVocabulary, kTokens, 1), 1)
                            : constant_text(x, *text);
    // Tokens have places, or their order would not matter.
    const int tokens = maker_.position(layer(context, 1));
    const int attended = maker_.attention(layer(x, 1), layer(tokens, 1), layer(tokens, 1), 1);
    const int last = maker_.silu(maker_.sum(layer(attended, 1), x));
    if (classifies()) {
      maker_.output(outputs(maker_.separable(last, 1, 1), 3, 1));
      return;
    }
    maker_.output(outputs(last, output == Output::kLearned ? 2 * kChannels : kChannels, 3));
    if (output == Output::kHead) maker_.head(outputs(last, kChannels, 3));
  }

  [[nodiscard]] const graph::Graph& graph() const { return maker_.graph(); }
  [[nodiscard]] bool classifies() const { return output_ == Output::kLogits; }
  /// Options by which what a text is made of does not learn; of a network with a head this alone does.
  [[nodiscard]] NetworkOptions options() const {
    NetworkOptions options;
    const auto count = static_cast<int>(graph().constants.size());
    for (int i = output_ == Output::kHead ? count - 2 : 0; i < count; ++i) {
      const std::string& name = graph().constants[static_cast<std::size_t>(i)].name;
      if (!name.starts_with("text") && !is_fixed(i)) options.learned.push_back(i);
    }
    return options;
  }

 private:
  static constexpr int kInner = 8;

  int layer(int input, int kernel) { return outputs(input, kInner, kernel); }
  int outputs(int input, int channels, int kernel) {
    return maker_.bias(maker_.convolution(input, channels, same_size(kernel)));
  }
  /// Returns whether a constant is a matrix of an axis, which does not learn.
  [[nodiscard]] bool is_fixed(int constant) const {
    for (const graph::Node& node : graph().nodes) {
      if (node.op != DPM_OP_SEPARABLE) continue;
      for (const int weight : node.weights) {
        if (weight == constant) return true;
      }
    }
    return false;
  }

  int constant(std::vector<std::int64_t> dims, std::vector<float> values) {
    text_.push_back(std::move(values));
    const std::string name = "text " + std::to_string(text_.size());
    return maker_.graph().add_constant({text_.back().data(), DType::kFloat32, std::move(dims), name});
  }
  int zeros(std::vector<std::int64_t> dims) {
    std::size_t count = 1;
    for (const std::int64_t dim : dims) count *= static_cast<std::size_t>(dim);
    return constant(std::move(dims), std::vector<float>(count));
  }
  /// Adds the maps of a text to a map of zeros. None of its constants is drawn, so that the others stay as they are.
  int constant_text(int input, const std::vector<std::int32_t>& text) {
    graph::Node narrow = graph::make_node(DPM_OP_CONVOLUTION, "text channels", {input}, same_size(1));
    narrow.weights = {zeros({kVocabulary, kInner, 1, 1})};
    graph::Node line = graph::make_node(DPM_OP_SEPARABLE, "text tokens", {maker_.add(std::move(narrow))});
    line.weights = {zeros({kTokens, kSide}), zeros({1, kSide})};
    graph::Node ones = graph::make_node(DPM_OP_POSITION, "text", {maker_.add(std::move(line))});
    std::vector<float> maps;
    for (int id = 0; id < kVocabulary; ++id) {
      for (const std::int32_t token : text) maps.push_back(token == id ? 1.0F : 0.0F);
    }
    ones.biases = {constant({kVocabulary, kTokens}, std::move(maps))};
    return maker_.add(std::move(ones));
  }

  Output output_;
  std::deque<std::vector<float>> text_;
  RandomValues random_{8};
  GraphMaker maker_{random_};
};

}  // namespace dpm::test
