// Test of invalid graphs: each is refused, and the message names the fault.
#include "graph/validate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "core/error.h"
#include "engine/network.h"
#include "graph_maker.h"
#include "graph_runner.h"
#include "small_network.h"

namespace dpm::test {
namespace {

using graph::Graph;
using graph::Node;

class Validate : public testing::Test {
 protected:
  using Spoil = std::function<void(Graph&)>;

  static Node& first(Graph& graph, dpm_op op) {
    return *std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.op == op; });
  }
  static graph::Value& result_of(Graph& graph, const Node& node) {
    return graph.values[static_cast<std::size_t>(node.output())];
  }

  /// Returns the message for the small network after `spoil`, if the code is the expected one; otherwise a text with
  /// the other code.
  [[nodiscard]] std::string said(const Spoil& spoil, ErrorCode expected = ErrorCode::kArgument) const {
    Graph graph = small_.graph();
    spoil(graph);
    try {
      graph::validate(graph);
    } catch (const Error& error) {
      return error.code() == expected ? error.what() : std::string(error_code_name(error.code())) + error.what();
    }
    return "nothing";
  }

  void refuses(const Spoil& spoil, const std::string& what, ErrorCode expected = ErrorCode::kArgument) const {
    const std::string text = said(spoil, expected);
    EXPECT_NE(text.find(what), std::string::npos) << "said: " << text << "\nexpected: " << what;
  }

  SmallNetwork small_;
};

TEST_F(Validate, TakesWhatIsRight) { EXPECT_NO_THROW(graph::validate(small_.graph())); }

TEST_F(Validate, IndicesOfValuesAndConstants) {
  for (const int wrong : {-7, -1, 100000, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
    refuses([&](Graph& g) { first(g, DPM_OP_SILU).inputs[0] = wrong; }, "there is no value " + std::to_string(wrong));
    refuses([&](Graph& g) { first(g, DPM_OP_SILU).outputs[0] = wrong; }, "there is no value " + std::to_string(wrong));
    refuses([&](Graph& g) { first(g, DPM_OP_BIAS).biases[0] = wrong; },
            "there is no constant " + std::to_string(wrong));
    refuses([&](Graph& g) { first(g, DPM_OP_CONVOLUTION).weights[0] = wrong; },
            "there is no constant " + std::to_string(wrong));
  }
  // An optional input may be absent, but its index must not be out of range.
  EXPECT_EQ(said([](Graph& g) { first(g, DPM_OP_CONVOLUTION).set_input(2, -1); }), "nothing");
  refuses([](Graph& g) { first(g, DPM_OP_CONVOLUTION).set_input(1, -2); }, "there is no value -2");
}

TEST_F(Validate, OrderAndCycles) {
  refuses([](Graph& g) { std::swap(g.nodes[0], g.nodes[1]); }, "which no earlier node has written");
  refuses([](Graph& g) { g.nodes[1].inputs[0] = g.nodes[1].output(); }, "which no earlier node has written");
  refuses([](Graph& g) { g.nodes[2].inputs[0] = g.nodes.back().output(); }, "which no earlier node has written");
}

TEST_F(Validate, GroupsShareAContextAlone) {
  const auto add = [](Graph& g, const char* name) {
    const int input = g.add_input(name, 2, 1, 1);
    g.values[static_cast<std::size_t>(input)].varies = DPM_VARIES_GROUP;
  };
  EXPECT_EQ(said([&](Graph& g) { add(g, DPM_BINDING_CONTEXT); }), "nothing");
  for (const char* name : {DPM_BINDING_ADDED, DPM_BINDING_GUIDANCE, "another"}) {
    refuses([&](Graph& g) { add(g, name); }, std::string(name) + ": rows share a context alone");
  }
  refuses([](Graph& g) { g.values[0].varies = DPM_VARIES_GROUP; }, "image: rows share a context alone");
  refuses([](Graph& g) { result_of(g, first(g, DPM_OP_SILU)).varies = DPM_VARIES_GROUP; },
          "its result is one for each row");
}

TEST_F(Validate, OneWriterPerValue) {
  refuses([](Graph& g) { g.nodes[2].outputs[0] = g.nodes[1].output(); }, "which is an input or written already");
  refuses([](Graph& g) { first(g, DPM_OP_SILU).outputs[0] = 0; }, "which is an input or written already");
  refuses([](Graph& g) { g.nodes.pop_back(); }, "output: no node writes this output");
}

TEST_F(Validate, OperandsOfEachOperation) {
  refuses([](Graph& g) { first(g, DPM_OP_ATTENTION).inputs.pop_back(); }, "attention does not take 2 inputs");
  refuses([](Graph& g) { first(g, DPM_OP_SILU).inputs.push_back(0); }, "silu does not take 2 inputs");
  refuses([](Graph& g) { first(g, DPM_OP_SILU).outputs.clear(); }, "silu does not take 0 outputs");
  refuses([](Graph& g) { first(g, DPM_OP_ADD).outputs.push_back(0); }, "add does not take 2 outputs");
  refuses([](Graph& g) { first(g, DPM_OP_GROUP_NORM).weights.clear(); }, "group_norm does not take 0 weights");
  refuses([](Graph& g) { first(g, DPM_OP_GROUP_NORM).biases.clear(); }, "group_norm does not take 0 biases");
  refuses([](Graph& g) { first(g, DPM_OP_SILU).weights = {0}; }, "silu does not take 1 weights");
  refuses([](Graph& g) { first(g, DPM_OP_CONVOLUTION).biases = {0, 1}; }, "another number of biases than of weights");
  refuses([](Graph& g) { first(g, DPM_OP_SILU).op = static_cast<dpm_op>(77); }, "there is no such operation");
  refuses([](Graph& g) { first(g, DPM_OP_ATTENTION).attributes = graph::Affine{}; },
          "its attributes are not those of attention");
  refuses([](Graph& g) { g.nodes[3].name.clear(); }, "it has no name");
}

TEST_F(Validate, AttributesAreFiniteAndSane) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto convolution = [&](const std::function<void(graph::Convolution&)>& set, const char* what) {
    refuses([&](Graph& g) { set(graph::attributes<graph::Convolution>(first(g, DPM_OP_CONVOLUTION))); },
            std::string(what) + " is out of range");
  };
  convolution([](auto& c) { c.kernel = 0; }, "kernel");
  convolution([](auto& c) { c.kernel = 9; }, "kernel");
  convolution([](auto& c) { c.stride = 0; }, "stride");
  convolution([](auto& c) { c.stride = -1; }, "stride");
  convolution([](auto& c) { c.pad_before = -1; }, "padBefore");
  convolution([](auto& c) { c.pad_before = std::numeric_limits<int>::max(); }, "padBefore");
  convolution([](auto& c) { c.pad_after = 1; }, "padAfter");
  convolution([&](auto& c) { c.scale = kNan; }, "scale");
  convolution([&](auto& c) { c.upsample = c.zero_upsample = true; }, "zeroUpsample");
  for (const float epsilon : {kNan, kInfinity, -1.0F}) {
    refuses([&](Graph& g) { graph::attributes<graph::GroupNorm>(first(g, DPM_OP_GROUP_NORM)).epsilon = epsilon; },
            "epsilon is out");
  }
  refuses([&](Graph& g) { graph::attributes<graph::GroupNorm>(first(g, DPM_OP_GROUP_NORM)).groups = 0; },
          "groups is out of range");
  refuses([&](Graph& g) { graph::attributes<graph::Attention>(first(g, DPM_OP_ATTENTION)).heads = -2; },
          "heads is out of range");
  refuses(
      [&](Graph& g) {
        Node& silu = first(g, DPM_OP_SILU);
        silu.op = DPM_OP_ACTIVATION;
        silu.attributes = graph::Activation{static_cast<dpm_activation>(3)};
      },
      "kind is out of range");
  const auto changed = [&](dpm_op op, const graph::Attributes& attributes, const char* what) {
    refuses(
        [&](Graph& g) {
          Node& silu = first(g, DPM_OP_SILU);
          silu.op = op;
          silu.attributes = attributes;
          if (op == DPM_OP_LAYER_NORM) silu.weights = silu.biases = first(g, DPM_OP_GROUP_NORM).biases;
        },
        std::string(what) + " is out of range");
  };
  for (const float epsilon : {kNan, kInfinity, -1.0F}) {
    changed(DPM_OP_LAYER_NORM, graph::LayerNorm{epsilon}, "epsilon");
  }
  changed(DPM_OP_UPSAMPLE, graph::Upsample{-1, 0}, "height");
  changed(DPM_OP_UPSAMPLE, graph::Upsample{0, -1}, "width");
  changed(DPM_OP_ACTIVATION, graph::Activation{static_cast<dpm_activation>(DPM_ACTIVATION_COUNT)}, "kind");
  const auto embedding = [&](const std::function<void(graph::TimeEmbedding&)>& set, const char* what) {
    refuses([&](Graph& g) { set(graph::attributes<graph::TimeEmbedding>(first(g, DPM_OP_TIME_EMBEDDING))); },
            std::string(what) + " is out of range");
  };
  embedding([](auto& e) { e.length = 1; }, "length");
  embedding([](auto& e) { e.length = 1 << 20; }, "length");
  embedding([](auto& e) { e.frequency_shift = kNan; }, "frequencyShift");
  // The divisor is half the length minus the shift.
  embedding([](auto& e) { e.frequency_shift = 4; }, "frequencyShift");
}

TEST_F(Validate, ResultsOfANormsDerivativeAreAsManyAsItsAttributesSay) {
  const auto derivative = [](Graph& graph, bool sums) -> Node& {
    const Node& norm = first(graph, DPM_OP_GROUP_NORM);
    Node node = graph::make_node(DPM_OP_GROUP_NORM_BACKWARD, "d", {norm.input(0), norm.input(0)}, norm.attributes);
    graph::attributes<graph::GroupNorm>(node).sums = sums;
    node.weights = norm.weights;
    node.biases = norm.biases;
    graph.add(node);
    return graph.nodes.back();
  };
  EXPECT_EQ(said([&](Graph& g) { derivative(g, true); }), "nothing");
  refuses([&](Graph& g) { derivative(g, true).outputs.pop_back(); }, "d: it has 2 results, stated are 1");
  refuses(
      [&](Graph& g) {
        Node& node = derivative(g, false);
        node.outputs.push_back(static_cast<int>(g.values.size()));
        g.values.push_back(result_of(g, node));
      },
      "d: it has 1 results, stated are 2");
  refuses([&](Graph& g) { graph::attributes<graph::GroupNorm>(first(g, DPM_OP_GROUP_NORM)).sums = true; },
          "sums is out of range");
}

TEST_F(Validate, AttributesOfGradientsOfConvolutionsAreOfTheProductAlone) {
  const auto with = [&](const std::function<void(graph::Convolution&)>& set, const char* what) {
    refuses(
        [&](Graph& g) {
          const Node convolution = first(g, DPM_OP_CONVOLUTION);
          graph::Convolution how = graph::attributes<graph::Convolution>(convolution);
          const int made = g.add(
              graph::make_node(DPM_OP_CONVOLUTION_WEIGHTS, "dW", {convolution.input(0), convolution.output()}, how));
          g.bind_output(made, "gradient.w");
          set(graph::attributes<graph::Convolution>(g.nodes.back()));
        },
        std::string("dW: ") + what + " is out of range");
  };
  with([](auto& how) { how.upsample = true; }, "upsample");
  with([](auto& how) { how.zero_upsample = true; }, "zeroUpsample");
  with([](auto& how) { how.silu = true; }, "silu");
  with([](auto& how) { how.scale = 2; }, "scale");
  with([](auto& how) { how.beside = true; }, "beside");
}

TEST_F(Validate, StatedShapesAreThoseInferred) {
  for (int graph::Value::* extent : {&graph::Value::channels, &graph::Value::height, &graph::Value::width}) {
    refuses([&](Graph& g) { result_of(g, first(g, DPM_OP_ATTENTION)).*extent += 1; }, "the result is 8 x 8 x 8, stated",
            ErrorCode::kTensorShape);
  }
  refuses([](Graph& g) { result_of(g, first(g, DPM_OP_ATTENTION)).channels = 0; }, "is empty or too large",
          ErrorCode::kTensorShape);
  refuses([](Graph& g) { g.values[0].height = std::numeric_limits<int>::max(); }, "is empty or too large",
          ErrorCode::kTensorShape);
  refuses([](Graph& g) { g.constants[static_cast<std::size_t>(first(g, DPM_OP_BIAS).biases[0])].dims = {9}; },
          "expected", ErrorCode::kTensorShape);
}

TEST_F(Validate, Constants) {
  refuses([](Graph& g) { g.constants[1].data = nullptr; }, "it has no data");
  refuses([](Graph& g) { g.constants[1].dims = {1, 1, 1, 1, 1}; }, "more than four dimensions");
  refuses([](Graph& g) { g.constants[1].dims = {1LL << 40, 1LL << 40}; }, "its shape is impossible");
  refuses([](Graph& g) { g.constants[1].dims = {-3}; }, "its shape is impossible");
  refuses([](Graph& g) { g.constants[1].view_dims = {2}; }, "its view has no strides");
  refuses(
      [](Graph& g) {
        g.constants[1].view_dims = {2, 3};
        g.constants[1].view_strides = {1, 2};
      },
      "its view does not fit its shape");
}

TEST_F(Validate, Bindings) {
  const auto binding = [](Graph& g, const char* name) -> graph::Binding& {
    return g.bindings[static_cast<std::size_t>(g.find_binding(name))];
  };
  refuses([&](Graph& g) { binding(g, "time").name = "image"; }, "image: two values are bound to this name");
  refuses([&](Graph& g) { binding(g, "image").name.clear(); }, "it has no name");
  refuses([&](Graph& g) { binding(g, "image").value = 3; }, "its binding is another value's");
  refuses([&](Graph& g) { binding(g, "image").value = -5; }, "its binding is another value's");
  refuses([&](Graph& g) { g.values[4].binding = 99; }, "its binding does not exist");
  refuses([&](Graph& g) { g.values[4].binding = -3; }, "its binding does not exist");
  refuses([&](Graph& g) { g.bindings.push_back({"extra", DPM_DIRECTION_INPUT, DPM_ELEMENT_F32, 4}); },
          "extra: its value does not exist or is bound to another name");
  refuses([&](Graph& g) { binding(g, "output").direction = DPM_DIRECTION_INPUT; },
          "output: no node writes this output");
  refuses([&](Graph& g) { binding(g, "label").direction = DPM_DIRECTION_OUTPUT; }, "label: a node writes this input");
  refuses([&](Graph& g) { binding(g, "label").element = DPM_ELEMENT_F32; },
          "label: its elements are of the wrong type");
  refuses([&](Graph& g) { binding(g, "time").element = DPM_ELEMENT_I32; }, "time: its elements are of the wrong type");
  refuses([&](Graph& g) { g.values[static_cast<std::size_t>(binding(g, "time").value)].width = 2; },
          "time: it is one number per row");
}

TEST_F(Validate, ConditionsAreNoMaps) {
  refuses([](Graph& g) { first(g, DPM_OP_TIME_EMBEDDING).inputs[0] = 0; }, "neither the time nor the label");
  refuses(
      [](Graph& g) {
        Node& silu = first(g, DPM_OP_SILU);
        silu.inputs[0] = g.bindings[static_cast<std::size_t>(g.find_binding("label"))].value;
      },
      "it takes the label for a map");
}

TEST_F(Validate, RangesOfValuesAreThePasses) {
  refuses([](Graph& g) { g.values[5].parent = 4; }, "value 5: ranges of other values");
  refuses([](Graph& g) { g.values[5].channel_offset = 1; }, "value 5: ranges of other values");
}

TEST_F(Validate, NetworksAreValidatedBeforeAnythingElse) {
  Graph graph = small_.graph();
  graph.nodes[2].inputs[0] = 12345;
  const auto device = Device::open("cpu", {1, false});
  EXPECT_EQ(code_of([&] { Network(device, graph, SmallNetwork::options()); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { Network(device, small_.graph(), {-1, false, {}}); }), ErrorCode::kArgument);
  graph = small_.graph();
  graph.bindings[static_cast<std::size_t>(graph.find_binding("image"))].name = "picture";
  EXPECT_EQ(code_of([&] { Network(device, graph, SmallNetwork::options()); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { Network(device, Graph{}, SmallNetwork::options()); }), ErrorCode::kArgument);
}

}  // namespace
}  // namespace dpm::test
