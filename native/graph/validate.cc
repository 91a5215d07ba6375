#include "graph/validate.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "graph/attribute_ranges.h"
#include "graph/operation.h"

namespace dpm::graph {
namespace {

// The number of nodes is limited because passes look at pairs of nodes.
constexpr std::size_t kMostNodes = std::size_t{1} << 16;
constexpr std::size_t kMostDimensions = 4;

[[noreturn]] void wrong(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kArgument, where + ": " + what);
}

std::string shape_text(const Value& value) {
  return std::to_string(value.channels) + " x " + std::to_string(value.height) + " x " + std::to_string(value.width);
}

class Validation {
 public:
  explicit Validation(const Graph& graph) : graph_(graph), made_(graph.values.size(), false) {}

  void run() {
    if (graph_.nodes.size() > kMostNodes) wrong("the graph", "it has more than 65536 nodes");
    for (std::size_t i = 0; i < graph_.values.size(); ++i) check_value(i);
    for (std::size_t i = 0; i < graph_.bindings.size(); ++i) check_binding(i);
    for (const Constant& constant : graph_.constants) check_constant(constant);
    for (const Node& node : graph_.nodes) check_node(node);
    for (const Binding& binding : graph_.bindings) {
      if (!made_[index(binding.value)]) wrong(binding.name, "no node writes this output");
    }
  }

 private:
  static std::size_t index(int value) { return static_cast<std::size_t>(value); }
  [[nodiscard]] bool is_value(int value) const { return value >= 0 && index(value) < graph_.values.size(); }

  void check_value(std::size_t i) const {
    const Value& value = graph_.values[i];
    const std::string name = "value " + std::to_string(i);
    if (!has_valid_extents(value)) {
      throw Error(ErrorCode::kTensorShape, name + " of " + shape_text(value) + " is empty or too large");
    }
    if (value.parent >= 0 || value.channel_offset != 0) wrong(name, "ranges of other values are the passes' to make");
    if (value.binding < -1 || (value.is_bound() && index(value.binding) >= graph_.bindings.size())) {
      wrong(name, "its binding does not exist");
    }
    if (value.is_bound() && graph_.bindings[index(value.binding)].value != static_cast<int>(i)) {
      wrong(name, "its binding is another value's");
    }
  }

  void check_binding(std::size_t i) {
    const Binding& binding = graph_.bindings[i];
    if (binding.name.empty()) wrong("binding " + std::to_string(i), "it has no name");
    if (!names_.insert(binding.name).second) wrong(binding.name, "two values are bound to this name");
    if (!is_value(binding.value) || graph_.values[index(binding.value)].binding != static_cast<int>(i)) {
      wrong(binding.name, "its value does not exist or is bound to another name");
    }
    const bool is_gradient = binding.name.starts_with(DPM_BINDING_GRADIENT);
    if (is_gradient != graph_.values[index(binding.value)].is_shared()) {
      wrong(binding.name, is_gradient ? "this name is for sums over rows" : "a sum over rows is no such tensor");
    }
    if (is_gradient && binding.direction == DPM_DIRECTION_INPUT) wrong(binding.name, "no node writes this output");
    if (graph_.values[index(binding.value)].is_of_groups() && binding.name != DPM_BINDING_CONTEXT) {
      wrong(binding.name, "rows share a context alone");
    }
    check_standard(binding);
    if (binding.direction == DPM_DIRECTION_INPUT) made_[index(binding.value)] = true;
  }

  /// Checks the rules for the standard names, on which the engine relies.
  void check_standard(const Binding& binding) const {
    const bool is_label = binding.name == DPM_BINDING_LABEL;
    const bool is_condition = is_label || binding.name == DPM_BINDING_TIME;
    const bool is_result = binding.name == DPM_BINDING_OUTPUT || binding.name == DPM_BINDING_HEAD;
    const bool is_input = binding.direction == DPM_DIRECTION_INPUT;
    if ((is_condition || binding.name == DPM_BINDING_IMAGE) && !is_input)
      wrong(binding.name, "a node writes this input");
    if (is_result && is_input) wrong(binding.name, "no node writes this output");
    if (is_label != (binding.element == DPM_ELEMENT_I32)) wrong(binding.name, "its elements are of the wrong type");
    if (is_condition && graph_.values[index(binding.value)].elements() != 1) {
      wrong(binding.name, "it is one number per row");
    }
  }

  static void check_constant(const Constant& constant) {
    const auto product = [&](const std::vector<std::int64_t>& dims) {
      std::int64_t elements = 1;
      for (const std::int64_t dim : dims) {
        if (dim < 0 || __builtin_mul_overflow(elements, dim, &elements))
          wrong(constant.name, "its shape is impossible");
      }
      return elements;
    };
    if (constant.data == nullptr && !constant.read) wrong(constant.name, "it has no data");
    if (constant.dims.size() > kMostDimensions || constant.view_dims.size() > kMostDimensions) {
      wrong(constant.name, "it has more than four dimensions");
    }
    if (constant.view_dims.size() != constant.view_strides.size()) wrong(constant.name, "its view has no strides");
    const std::int64_t elements = product(constant.dims);
    if (!constant.view_dims.empty() && product(constant.view_dims) != elements) {
      wrong(constant.name, "its view does not fit its shape");
    }
  }

  void check_node(const Node& node) {
    const std::string& name = node.name;
    if (name.empty()) wrong("a node", "it has no name");
    const Operation& operation = operation_of(node.op);
    if (node.attributes.index() != operation.attributes.index()) {
      wrong(name, std::string("its attributes are not those of ") + operation.name);
    }
    check_counts(node, operation);
    check_attributes(node);
    for (std::size_t k = 0; k < node.inputs.size(); ++k) check_input(node, k, k < operation.inputs);
    check_outputs(node);
  }

  void check_counts(const Node& node, const Operation& operation) const {
    const auto check = [&](std::size_t count, Count allowed, const char* what) {
      if (count >= allowed.least && count <= allowed.most) return;
      wrong(node.name, std::string(operation.name) + " does not take " + std::to_string(count) + " " + what);
    };
    check(node.inputs.size(), {operation.inputs, operation.most_inputs}, "inputs");
    check(node.outputs.size(), operation.outputs, "outputs");
    check(node.weights.size(), operation.weights, "weights");
    check(node.biases.size(), operation.biases, "biases");
    if (node.op == DPM_OP_CONVOLUTION && !node.biases.empty() && node.biases.size() != node.weights.size()) {
      wrong(node.name, "it has another number of biases than of weights");
    }
    for (const auto* list : {&node.weights, &node.biases}) {
      for (const int constant : *list) {
        if (constant < 0 || index(constant) >= graph_.constants.size()) {
          wrong(node.name, "there is no constant " + std::to_string(constant));
        }
      }
    }
  }

  void check_input(const Node& node, std::size_t k, bool has_to_be_there) const {
    const int value = node.inputs[k];
    if (value == -1 && !has_to_be_there) return;
    if (!is_value(value)) wrong(node.name, "there is no value " + std::to_string(value));
    if (!made_[index(value)]) {
      wrong(node.name, "it reads value " + std::to_string(value) + ", which no earlier node has written");
    }
    const int binding = graph_.values[index(value)].binding;
    const std::string bound = binding < 0 ? "" : graph_.bindings[index(binding)].name;
    if (graph_.values[index(value)].is_shared()) wrong(node.name, "it reads a value that rows share");
    const bool takes_row = node.op == DPM_OP_EMBEDDING_WEIGHTS && k == 0;
    const bool embeds = node.op == DPM_OP_TIME_EMBEDDING || node.op == DPM_OP_EMBEDDING || takes_row;
    if (embeds && bound != DPM_BINDING_TIME && bound != DPM_BINDING_LABEL) {
      wrong(node.name, "what it embeds is neither the time nor the label");
    }
    const bool takes_label = node.op == DPM_OP_LABEL_SCORE && k == 1;
    if (takes_label && bound != DPM_BINDING_LABEL) wrong(node.name, "its second input is not the label");
    if (!embeds && !takes_label && bound == DPM_BINDING_LABEL) wrong(node.name, "it takes the label for a map");
  }

  void check_outputs(const Node& node) {
    for (const int output : node.outputs) {
      if (!is_value(output)) wrong(node.name, "there is no value " + std::to_string(output));
      if (made_[index(output)]) {
        wrong(node.name, "it writes value " + std::to_string(output) + ", which is an input or written already");
      }
      made_[index(output)] = true;
    }
    const std::vector<Value> shapes = infer_shapes(graph_, node);
    if (node.outputs.size() != shapes.size()) {
      wrong(node.name,
            "it has " + std::to_string(shapes.size()) + " results, stated are " + std::to_string(node.outputs.size()));
    }
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const Value& stated = graph_.values[index(node.outputs[i])];
      check_variation(node, stated, shapes[i]);
      if (stated.same_shape(shapes[i])) continue;
      throw Error(ErrorCode::kTensorShape,
                  node.name + ": the result is " + shape_text(shapes[i]) + ", stated is " + shape_text(stated));
    }
  }

  /// Checks that of results only sums over rows are shared, and that these are bound: they have no place in the arena.
  static void check_variation(const Node& node, const Value& stated, const Value& result) {
    if (stated.varies != result.varies) {
      wrong(node.name, result.is_shared() ? "its result is one for all rows" : "its result is one for each row");
    }
    if (result.is_shared() && !stated.is_bound()) wrong(node.name, "its result, which rows share, is not bound");
  }

  const Graph& graph_;
  /// Tells for each value whether it is an input or written by a node checked so far.
  std::vector<bool> made_;
  std::set<std::string> names_;
};

}  // namespace

void validate(const Graph& graph) { Validation(graph).run(); }

}  // namespace dpm::graph
