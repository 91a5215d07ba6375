#include <vector>

#include "core/error.h"
#include "graph/passes/derivative_parts.h"
#include "graph/passes/derivatives.h"
#include "graph/passes/reverse.h"
#include "graph/passes/weight_gradients.h"

namespace dpm::graph {
namespace {

/// Runs `pull_back` on the folded graph, and computes values again as the policy says.
template <typename PullBack>
void differentiate_folded(Graph& graph, Recompute recompute, const PullBack& pull_back) {
  fold_norms(graph);
  const std::size_t forward = graph.nodes.size();
  pull_back();
  if (recompute != Recompute::kNone) compute_again(graph, forward, recompute);
}

}  // namespace

void differentiate(Graph& graph, Recompute recompute) {
  differentiate_folded(graph, recompute, [&] {
    Reverse reverse(graph, depend_on_image(graph));
    reverse.pull_back_given();
    reverse.bind_input(DPM_BINDING_IMAGE, DPM_BINDING_IMAGE_COTANGENT);
  });
}

void differentiate_label(Graph& graph, Recompute recompute) {
  differentiate_folded(graph, recompute, [&] {
    Reverse reverse(graph, depend_on_image(graph));
    reverse.pull_back_label();
    reverse.bind_input(DPM_BINDING_IMAGE, DPM_BINDING_IMAGE_COTANGENT);
  });
}

void differentiate_training(Graph& graph, const Training& training) {
  differentiate_folded(graph, training.recompute, [&] {
    WeightGradients weights(graph, training.constants);
    const auto learns = [&](const Node& node) { return weights.wants(node); };
    std::vector<const char*> inputs;
    if (training.image) inputs.push_back(DPM_BINDING_IMAGE);
    if (training.context) inputs.push_back(DPM_BINDING_CONTEXT);
    Reverse reverse(graph, depend_on(graph, inputs, learns), &weights);
    if (training.seed == Seed::kGiven) {
      reverse.pull_back_given();
    } else if (training.seed == Seed::kCrossEntropy) {
      reverse.pull_back_label(-training.row_weight);
    } else {
      reverse.pull_back_square(training.seed);
    }
    if (training.image) reverse.bind_input(DPM_BINDING_IMAGE, DPM_BINDING_IMAGE_COTANGENT);
    if (training.context) reverse.bind_input(DPM_BINDING_CONTEXT, DPM_BINDING_CONTEXT_COTANGENT);
  });
}

}  // namespace dpm::graph
