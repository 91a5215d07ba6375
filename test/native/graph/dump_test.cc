// Graphs as text.
#include "graph/dump.h"

#include <gtest/gtest.h>

#include "graph/passes/fusion.h"
#include "graph_runner.h"
#include "small_network.h"

namespace dpm::test {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Dump, SaysEveryNodeAndValue) {
  graph::Graph graph = SmallNetwork().graph();
  graph::fuse(graph, supports_of(*Device::open("cpu", {1, false})));
  const std::string json = graph::dump_json(graph);
  EXPECT_EQ(count(json, "\"op\":"), graph.nodes.size());
  EXPECT_EQ(count(json, "\"width\":"), graph.values.size());
  EXPECT_EQ(count(json, "\"shape\":"), graph.constants.size());
  EXPECT_EQ(count(json, R"("binding":"output")"), 1U);
  EXPECT_GT(count(json, "\"parent\":"), 0U) << "what the passes have placed in others";
  const std::string dot = graph::dump_dot(graph);
  // One line says how all nodes look.
  EXPECT_EQ(count(dot, "\n  n"), 1 + graph.nodes.size() + count(dot, " -> v") - count(dot, "[style=dotted]"));
  EXPECT_EQ(count(dot, " [shape=plain") + count(dot, " [shape=ellipse"), graph.values.size());
  EXPECT_EQ(dot.substr(0, 9), "digraph n");
}

TEST(Dump, NamesActivations) {
  for (const auto& [kind, name] :
       {std::pair{DPM_ACTIVATION_MISH, "mish"}, {DPM_ACTIVATION_GELU, "gelu"}, {DPM_ACTIVATION_RELU, "relu"}}) {
    graph::Graph graph;
    const int image = graph.add_input("image", 1, 1, 1);
    graph.bind_output(graph.add(graph::make_node(DPM_OP_ACTIVATION, "act", {image}, graph::Activation{kind})),
                      "output");
    EXPECT_EQ(count(graph::dump_json(graph), std::string(R"("op":"activation",)")), 1U);
    EXPECT_EQ(count(graph::dump_json(graph), R"("kind":")" + std::string(name) + '"'), 1U);
  }
}

TEST(Dump, EscapesNames) {
  graph::Graph graph;
  const int image = graph.add_input("an \"image\"\n\\", 1, 1, 1);
  graph.bind_output(graph.add(graph::make_node(DPM_OP_AFFINE, "tab\there", {image}, graph::Affine{0.1F, -2})),
                    "output");
  EXPECT_EQ(
      graph::dump_json(graph),
      "{\"values\": [\n"
      "  {\"channels\":1,\"height\":1,\"width\":1,\"binding\":\"an \\\"image\\\"\\u000a\\\\\"},\n"
      "  {\"channels\":1,\"height\":1,\"width\":1,\"binding\":\"output\"}\n],\n"
      "\"nodes\": [\n"
      "  {\"name\":\"tab\\u0009here\",\"op\":\"affine\",\"inputs\":[0],\"outputs\":[1],\"weights\":[],\"biases\":[],"
      "\"scale\":0.100000001,\"shift\":-2}\n],\n"
      "\"constants\": [\n]}\n");
}

}  // namespace
}  // namespace dpm::test
