#include "cuda/dnn/plan.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"

namespace dpm::cuda {
namespace {

// More than any list of the heuristics has; a bound against an absurd answer.
constexpr std::int64_t kMostConfigurations = 512;
constexpr std::int64_t kMostKnobs = CUDNN_KNOB_TYPE_COUNTS;

/// What the library says about an engine's arithmetic, tested against the rules.
bool engine_allowed(const Descriptor& engine, const PlanRules& rules) {
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
  const std::int64_t count = engine.get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                        static_cast<std::int64_t>(notes.size()), notes.data());
  return std::none_of(notes.begin(), notes.begin() + count, [&](cudnnBackendNumericalNote_t note) {
    if (note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION) return true;
    if (note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) return true;
    const bool rounds = note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    const bool transforms = note == CUDNN_NUMERICAL_NOTE_FFT ||
                            (note >= CUDNN_NUMERICAL_NOTE_WINOGRAD && note <= CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13);
    return rules.exact_inputs && (rounds || transforms);
  });
}

EngineChoice read_choice(const Descriptor& configuration, const Descriptor& engine) {
  EngineChoice choice{engine.get_int64(CUDNN_ATTR_ENGINE_GLOBAL_INDEX), {}};
  const auto knobs = configuration.get_descriptors(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                                   CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, kMostKnobs);
  for (const Descriptor& knob : knobs) {
    cudnnBackendKnobType_t kind{};
    knob.get(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &kind);
    choice.knobs.emplace_back(kind, knob.get_int64(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  }
  return choice;
}

/// Plans outlive the graphs that are captured of them, which need not keep them alive, at a cost for each launch.
void release_graphs([[maybe_unused]] const CudnnLibrary& library, [[maybe_unused]] Descriptor& plan) {
#if CUDNN_VERSION >= 92800
  if (library.version < 92800) return;
  const cudnnCudaGraphRetention_t none = CUDNN_CUDA_GRAPH_RETENTION_NONE;
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_CUDA_GRAPH_RETENTION, CUDNN_TYPE_CUDA_GRAPH_RETENTION, 1, &none);
#endif
}

/// Appends the plan of `configuration` unless it breaks the rules or does not finish.
void add_plan(const CudnnLibrary& library, const Descriptor& configuration, const PlanTarget& target,
              const PlanRules& rules, std::vector<Plan>* plans) {
  const auto engines = configuration.get_descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
  if (engines.empty() || !engine_allowed(engines[0], rules)) return;
  EngineChoice choice = read_choice(configuration, engines[0]);
  // The same engine comes again from the next heuristic.
  if (std::any_of(plans->begin(), plans->end(), [&](const Plan& plan) { return plan.choice == choice; })) return;
  Descriptor plan(library, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "execution plan");
  if (target.handle != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle);
  if (target.device != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.device);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
  release_graphs(library, plan);
  if (!plan.try_finalize()) return;
  const std::int64_t workspace = plan.get_int64(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
  if (workspace > rules.workspace_limit) return;
  plans->push_back({std::move(plan), workspace, std::move(choice)});
}

/// A refusal by one engine is no error: the next may do.
void add_plan_if_possible(const CudnnLibrary& library, const Descriptor& configuration, const PlanTarget& target,
                          const PlanRules& rules, std::vector<Plan>* plans) {
  try {
    add_plan(library, configuration, target, rules, plans);
  } catch (const Error&) {
    return;
  }
}

/// What a heuristic proposes; nothing where it does not answer.
std::vector<Descriptor> ask_heuristic(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                                      cudnnBackendHeurMode_t mode) {
  Descriptor heuristic(library, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "engine heuristic");
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  if (target.device != nullptr) heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.device);
  if (!heuristic.try_finalize()) return {};
  const std::int64_t count = heuristic.count(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR);
  return heuristic.get_descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                                   std::min(count, kMostConfigurations));
}

/// A refusal of one heuristic is no error, either.
std::vector<Descriptor> proposals(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                                  cudnnBackendHeurMode_t mode) {
  try {
    return ask_heuristic(library, graph, target, mode);
  } catch (const Error&) {
    return {};
  }
}

Descriptor make_knob(const CudnnLibrary& library, std::int64_t kind, std::int64_t value) {
  Descriptor knob(library, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "engine setting");
  const auto type = static_cast<cudnnBackendKnobType_t>(kind);
  knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
  knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value);
  knob.finalize();
  return knob;
}

Descriptor make_configuration(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                              const EngineChoice& choice) {
  Descriptor engine(library, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "engine");
  engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph);
  engine.set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, choice.engine);
  if (target.device != nullptr) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *target.device);
  engine.finalize();
  std::vector<Descriptor> knobs;
  knobs.reserve(choice.knobs.size());
  for (const auto& [kind, value] : choice.knobs) knobs.push_back(make_knob(library, kind, value));
  Descriptor configuration(library, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "engine configuration");
  configuration.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  if (!knobs.empty()) configuration.set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, std::span<const Descriptor>(knobs));
  configuration.finalize();
  return configuration;
}

}  // namespace

Descriptor make_graph(const CudnnLibrary& library, std::span<const Descriptor> operations, const PlanTarget& target) {
  Descriptor graph(library, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "operation graph");
  if (target.handle != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, target.handle);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations);
  graph.finalize();
  return graph;
}

std::vector<Plan> find_plans(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                             const PlanRules& rules, std::size_t limit) {
  std::vector<Plan> plans;
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
    if (plans.size() >= limit) break;
    for (const Descriptor& configuration : proposals(library, graph, target, mode)) {
      add_plan_if_possible(library, configuration, target, rules, &plans);
      if (plans.size() >= limit) break;
    }
  }
  return plans;
}

std::vector<Plan> restore_plan(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                               const PlanRules& rules, const EngineChoice& choice) {
  std::vector<Plan> plans;
  try {
    add_plan(library, make_configuration(library, graph, target, choice), target, rules, &plans);
  } catch (const Error&) {
    return {};
  }
  return plans;
}

Descriptor make_device(const CudnnLibrary& library, const std::string& json) {
  Descriptor device(library, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device description");
  // The terminating zero counts.
  device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<std::int64_t>(json.size()) + 1,
             json.c_str());
  device.finalize();
  return device;
}

}  // namespace dpm::cuda
