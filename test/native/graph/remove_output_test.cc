// Test of graphs that lose an output.
#include "graph/passes/remove_output.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "graph/validate.h"
#include "small_network.h"

namespace dpm::graph {
namespace {

using test::SmallNetwork;

TEST(RemoveOutput, LeavesTheNetworkAsItIsWithoutIt) {
  const SmallNetwork with(test::SecondOutput::kHead);
  const SmallNetwork without;
  Graph graph = with.graph();
  remove_output(graph, DPM_BINDING_HEAD);
  EXPECT_EQ(graph.find_binding(DPM_BINDING_HEAD), -1);
  EXPECT_EQ(graph.nodes.size(), without.graph().nodes.size());
  EXPECT_LT(graph.nodes.size(), with.graph().nodes.size());
  EXPECT_EQ(graph.constants.size(), with.graph().constants.size());
  validate(graph);
}

TEST(RemoveOutput, MovesTheBindingsBehindIt) {
  Graph graph = SmallNetwork(test::SecondOutput::kHead).graph();
  const int head = graph.find_binding(DPM_BINDING_HEAD);
  std::swap(graph.bindings[static_cast<std::size_t>(head)], graph.bindings.front());
  for (std::size_t i = 0; i < graph.bindings.size(); ++i) {
    graph.values[static_cast<std::size_t>(graph.bindings[i].value)].binding = static_cast<int>(i);
  }
  remove_output(graph, DPM_BINDING_HEAD);
  validate(graph);
  for (std::size_t i = 0; i < graph.bindings.size(); ++i) {
    EXPECT_EQ(graph.values[static_cast<std::size_t>(graph.bindings[i].value)].binding, static_cast<int>(i));
  }
}

TEST(RemoveOutput, DoesNothingWhereThereIsNone) {
  Graph graph = SmallNetwork().graph();
  const std::size_t nodes = graph.nodes.size();
  remove_output(graph, DPM_BINDING_HEAD);
  EXPECT_EQ(graph.nodes.size(), nodes);
}

}  // namespace
}  // namespace dpm::graph
