#include "operations/operation_case.h"

#include <algorithm>
#include <utility>

namespace dpm::test {
namespace {

std::string refusal(const graph::Graph& graph, dpm_op op, const std::string& reason) {
  const auto node = std::ranges::find_if(graph.nodes, [&](const graph::Node& each) { return each.op == op; });
  return node->name + ": " + reason;
}

}  // namespace

Case make_case(const CaseFamily& family, int index) {
  auto random = std::make_shared<RandomValues>(static_cast<std::uint32_t>(100 + index));
  Case made = family.make(*random, index);
  made.random = std::move(random);
  return made;
}

Case image_case(GraphMaker& maker, RandomValues& random, int batch, float scale, float shift) {
  Case made;
  made.graph = maker.graph();
  made.batch = batch;
  const auto count = static_cast<std::size_t>(batch);
  for (const graph::Binding& binding : made.graph.bindings) {
    const std::size_t elements = made.graph.values[static_cast<std::size_t>(binding.value)].elements();
    if (binding.name == DPM_BINDING_IMAGE) made.inputs.image = random.normals(count * elements, scale, shift);
    if (binding.name == DPM_BINDING_TIME) {
      for (int n = 0; n < batch; ++n)
        made.inputs.time.push_back(static_cast<float>(random.between(1, 999)) + 0.25F * static_cast<float>(n));
    }
    if (binding.name == DPM_BINDING_LABEL) {
      for (int n = 0; n < batch; ++n) made.inputs.labels.push_back(random.between(-1, 6));
    }
  }
  return made;
}

Case without_pullback(Case made, dpm_op op, const std::string& reason) {
  made.no_pullback = refusal(made.graph, op, reason);
  return made;
}

Case without_pushforward(Case made, dpm_op op, const std::string& reason) {
  made.no_pushforward = refusal(made.graph, op, reason);
  return made;
}

Case without_derivatives(Case made, dpm_op op) {
  const std::string reason = "this operation has no derivative";
  return without_pushforward(without_pullback(std::move(made), op, reason), op, reason);
}

}  // namespace dpm::test
