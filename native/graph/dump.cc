#include "graph/dump.h"

#include <cstdio>
#include <sstream>

#include "graph/operation.h"

namespace dpm::graph {
namespace {

/// Quoted for JSON and DOT alike: names may hold anything.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (code < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", code);
      result += escape;
    } else {
      result += c;
    }
  }
  return result + '"';
}

template <typename Number>
std::string list(const std::vector<Number>& numbers) {
  std::string text;
  for (const Number number : numbers) text += (text.empty() ? "" : ",") + std::to_string(number);
  return "[" + text + "]";
}

/// `,"key":value` for each attribute.
struct AttributeWriter {
  std::ostringstream& out;

  void operator()(std::monostate /*none*/) const {}
  void operator()(const TimeEmbedding& a) const {
    write("length", a.length);
    write("frequencyShift", a.frequency_shift);
    out << R"(,"order":)" << (a.cosine_first ? R"("cos-sin")" : R"("sin-cos")");
    flag("logarithmic", a.logarithmic);
  }
  void operator()(const Convolution& a) const {
    write("kernel", a.kernel);
    write("stride", a.stride);
    write("padBefore", a.pad_before);
    write("padAfter", a.pad_after);
    flag("upsample", a.upsample);
    flag("silu", a.silu);
    write("scale", a.scale);
    flag("beside", a.beside);
    flag("zeroUpsample", a.zero_upsample);
  }
  void operator()(const GroupNorm& a) const {
    write("groups", a.groups);
    write("epsilon", a.epsilon);
    flag("silu", a.silu);
  }
  void operator()(const Attention& a) const { write("heads", a.heads); }
  void operator()(const Affine& a) const {
    write("scale", a.scale);
    write("shift", a.shift);
  }
  void operator()(const FirUpsample& a) const { write("extension", a.extension); }
  void operator()(const FirDownsample& a) const { write("padding", a.padding); }
  void operator()(const Activation& a) const {
    constexpr const char* kKinds[] = {"mish", "gelu", "relu", "silu"};
    out << R"(,"kind":")" << kKinds[a.kind] << '"';
  }
  void operator()(const View& a) const {
    write("first", a.first);
    write("channels", a.channels);
    write("height", a.height);
    write("width", a.width);
  }

  template <typename Number>
  void write(const char* key, Number number) const {
    out << ",\"" << key << "\":" << number;
  }
  void flag(const char* key, bool set) const { out << ",\"" << key << "\":" << (set ? "true" : "false"); }
};

std::string value_json(const Graph& graph, const Value& value) {
  std::ostringstream out;
  out << R"({"channels":)" << value.channels << R"(,"height":)" << value.height << R"(,"width":)" << value.width
      << R"(,"binding":)"
      << (value.is_bound() ? quoted(graph.bindings[static_cast<std::size_t>(value.binding)].name) : "null");
  if (value.parent >= 0) out << R"(,"parent":)" << value.parent << R"(,"firstChannel":)" << value.channel_offset;
  out << '}';
  return out.str();
}

std::string node_json(const Node& node) {
  std::ostringstream out;
  // Floats as they are read back.
  out.precision(9);
  out << R"({"name":)" << quoted(node.name) << R"(,"op":")" << operation_of(node.op).name << '"' << R"(,"inputs":)"
      << list(node.inputs) << R"(,"outputs":)" << list(node.outputs) << R"(,"weights":)" << list(node.weights)
      << R"(,"biases":)" << list(node.biases);
  std::visit(AttributeWriter{out}, node.attributes);
  out << '}';
  return out.str();
}

template <typename Items, typename Write>
std::string lines(const Items& items, const Write& write) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "\n  " : ",\n  ") + write(item);
  return "[" + text + "\n]";
}

}  // namespace

std::string dump_json(const Graph& graph) {
  return "{\"values\": " + lines(graph.values, [&](const Value& value) { return value_json(graph, value); }) +
         ",\n\"nodes\": " + lines(graph.nodes, node_json) + ",\n\"constants\": " +
         lines(graph.constants,
               [](const Constant& constant) {
                 return R"({"name":)" + quoted(constant.name) + R"(,"shape":)" + list(constant.dims) + "}";
               }) +
         "}\n";
}

std::string dump_dot(const Graph& graph) {
  std::ostringstream out;
  out << "digraph network {\n  node [shape=box];\n";
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    const std::string name = value.is_bound() ? graph.bindings[static_cast<std::size_t>(value.binding)].name : "";
    std::string label = name;
    if (!name.empty()) label += ' ';
    label.append(std::to_string(value.channels)).append(" x ").append(std::to_string(value.height));
    label.append(" x ").append(std::to_string(value.width));
    out << "  v" << i << " [shape=" << (name.empty() ? "plain" : "ellipse") << ", label=" << quoted(label) << "];\n";
    if (value.parent >= 0) out << "  v" << i << " -> v" << value.parent << " [style=dotted];\n";
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::string label = node.name;
    label.append(" (").append(operation_of(node.op).name).append(")");
    out << "  n" << i << " [label=" << quoted(label) << "];\n";
    for (const int input : node.inputs) {
      if (input >= 0) out << "  v" << input << " -> n" << i << ";\n";
    }
    for (const int output : node.outputs) out << "  n" << i << " -> v" << output << ";\n";
  }
  out << "}\n";
  return out.str();
}

}  // namespace dpm::graph
