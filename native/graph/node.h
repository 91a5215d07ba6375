// A node of the intermediate representation and the attributes of its operation, which backend/operations.h explains.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "backend/backend.h"

namespace dpm::graph {

struct TimeEmbedding {
  int length = 0;
  float frequency_shift = 0;
  bool cosine_first = false;
  bool logarithmic = false;
};

struct Convolution {
  int kernel = 1;
  int stride = 1;
  int pad_before = 0;
  int pad_after = 0;
  bool upsample = false;
  bool silu = false;
  float scale = 1;
  /// The node may run beside the following nodes until its result is read: nothing that it uses changes until then.
  bool beside = false;
  /// The input is enlarged as by DPM_OP_ZERO_UPSAMPLE first; not with `upsample`.
  bool zero_upsample = false;
};

struct GroupNorm {
  int groups = 1;
  float epsilon = 0;
  bool silu = false;
  /// DPM_OP_GROUP_NORM_BACKWARD has its second output.
  bool sums = false;
};

struct LayerNorm {
  float epsilon = 0;
  /// DPM_OP_LAYER_NORM_BACKWARD has its second output.
  bool products = false;
};

struct Attention {
  int heads = 1;
  bool causal = false;
};

struct Affine {
  float scale = 1;
  float shift = 0;
};

struct Upsample {
  int height = 0;
  int width = 0;
};

struct FirUpsample {
  int extension = 0;
};

struct FirDownsample {
  int padding = 0;
};

struct Activation {
  dpm_activation kind = DPM_ACTIVATION_RELU;
};

struct View {
  int first = 0;
  int channels = 1;
  int height = 1;
  int width = 1;
};

struct EmbeddingWeights {
  int rows = 1;
};

struct Dropout {
  float rate = 0;
  std::uint32_t draw = 0;
  std::uint64_t seed = 0;
};

/// Attributes of an operation; std::monostate for operations that have none.
using Attributes = std::variant<std::monostate, TimeEmbedding, Convolution, GroupNorm, LayerNorm, Attention, Affine,
                                Upsample, FirUpsample, FirDownsample, Activation, View, EmbeddingWeights, Dropout>;

struct Node {
  dpm_op op = DPM_OP_ADD;
  std::string name;
  std::vector<int> inputs;   ///< indices of values, -1 where an optional one is absent
  std::vector<int> outputs;  ///< indices of values; filled by Graph::add
  std::vector<int> weights;  ///< indices of constants
  std::vector<int> biases;   ///< indices of constants
  Attributes attributes;

  /// Input `index`, -1 where there is none.
  [[nodiscard]] int input(std::size_t index) const { return index < inputs.size() ? inputs[index] : -1; }
  void set_input(std::size_t index, int value) {
    if (inputs.size() <= index) inputs.resize(index + 1, -1);
    inputs[index] = value;
  }
  /// The result of a node, the first where it has two.
  [[nodiscard]] int output() const { return outputs.front(); }
};

/// Makes a node with the default attributes of its operation.
Node make_node(dpm_op op, std::string name, std::vector<int> inputs);
/// Makes a node with `attributes`, which must be of the operation's kind.
Node make_node(dpm_op op, std::string name, std::vector<int> inputs, Attributes attributes);

/// Throws Error(kArgument): the attributes of `node` belong to another operation than was asked for.
[[noreturn]] void refuse_attributes(const Node& node);

/// Returns the attributes of a node whose operation has those of the given kind. Throws Error(kArgument) naming the
/// node when they are of another kind.
template <typename Kind, typename AnyNode>
auto& attributes(AnyNode& node) {
  auto* found = std::get_if<Kind>(&node.attributes);
  if (found == nullptr) refuse_attributes(node);
  return *found;
}

}  // namespace dpm::graph
