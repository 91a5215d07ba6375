#include "cuda/dnn/plan.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/error.h"

namespace dpm::cuda {
namespace {

// Limit above the length of any list of the heuristics, against an absurd answer.
constexpr std::int64_t kMostConfigurations = 512;
constexpr std::int64_t kMostKnobs = CUDNN_KNOB_TYPE_COUNTS;

constexpr int kHopper = 90;
/// Engines xmma_sm90 and, from 9.26 on, fort_native_sm90, which join the operations after a convolution.
constexpr std::array<std::int64_t, 2> kCompiledHopperEngines{2, 4};

bool compiles(const Descriptor& engine) {
  std::array<cudnnBackendBehaviorNote_t, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT> notes{};
  const std::int64_t count = engine.get(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                                        static_cast<std::int64_t>(notes.size()), notes.data());
  return std::count(notes.begin(), notes.begin() + count, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) > 0;
}

/// Tests the library's description of an engine against the rules.
bool engine_allowed(const Descriptor& engine, const PlanRules& rules) {
  if (rules.precompiled && compiles(engine)) return false;
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

/// Turns off that captured graphs keep their plans alive, which would cost time at each launch: plans outlive the
/// graphs anyway.
void release_graphs([[maybe_unused]] const CudnnLibrary& library, [[maybe_unused]] Descriptor& plan) {
#if CUDNN_VERSION >= 92800
  if (library.version < 92800) return;
  const cudnnCudaGraphRetention_t none = CUDNN_CUDA_GRAPH_RETENTION_NONE;
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_CUDA_GRAPH_RETENTION, CUDNN_TYPE_CUDA_GRAPH_RETENTION, 1, &none);
#endif
}

/// An engine with settings that the rules allow.
struct Proposal {
  Descriptor configuration;
  EngineChoice choice;
  bool is_fallback = false;
};

/// Returns `configuration` as a proposal, unless it breaks the rules.
std::optional<Proposal> propose(Descriptor configuration, const PlanRules& rules) {
  const auto engines = configuration.get_descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
  if (engines.empty() || !engine_allowed(engines[0], rules)) return std::nullopt;
  EngineChoice choice = read_choice(configuration, engines[0]);
  return Proposal{std::move(configuration), std::move(choice), false};
}

/// Appends the plan of `proposal` unless it cannot be finalized or needs too much memory.
void add_plan(const CudnnLibrary& library, const Proposal& proposal, const PlanTarget& target, const PlanRules& rules,
              std::vector<Plan>* plans) {
  // An engine may be proposed again by the next heuristic.
  if (std::any_of(plans->begin(), plans->end(), [&](const Plan& plan) { return plan.choice == proposal.choice; })) {
    return;
  }
  Descriptor plan(library, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "execution plan");
  if (target.handle != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle);
  if (target.device != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.device);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, proposal.configuration);
  release_graphs(library, plan);
  if (!plan.try_finalize()) return;
  const std::int64_t workspace = plan.get_int64(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
  if (workspace > rules.workspace_limit) return;
  plans->push_back({std::move(plan), workspace, proposal.choice, proposal.is_fallback});
}

/// Appends a plan if possible. A refusal by one engine is no error: the next one may work.
void add_plan_if_possible(const CudnnLibrary& library, const Proposal& proposal, const PlanTarget& target,
                          const PlanRules& rules, std::vector<Plan>* plans) {
  try {
    add_plan(library, proposal, target, rules, plans);
  } catch (const Error&) {
    return;
  }
}

/// Returns the proposals of a heuristic; empty where it does not answer.
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

/// Returns the proposals that the rules allow. A refusal of one heuristic is no error, either.
std::vector<Proposal> proposals(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                                const PlanRules& rules, cudnnBackendHeurMode_t mode) {
  std::vector<Proposal> allowed;
  try {
    for (Descriptor& configuration : ask_heuristic(library, graph, target, mode)) {
      std::optional<Proposal> proposal = propose(std::move(configuration), rules);
      if (!proposal) continue;
      proposal->is_fallback = mode == CUDNN_HEUR_MODE_FALLBACK;
      allowed.push_back(std::move(*proposal));
    }
  } catch (const Error&) {
    return allowed;
  }
  return allowed;
}

/// Proposals of the heuristics, each of which is asked at its first use.
class Heuristics {
 public:
  static constexpr std::array kModes{CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK};

  Heuristics(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target, const PlanRules& rules)
      : library_(library), graph_(graph), target_(target), rules_(rules) {}

  const std::vector<Proposal>& ask(std::size_t mode) {
    std::optional<std::vector<Proposal>>& answer = answers_.at(mode);
    if (!answer) answer = proposals(library_, graph_, target_, rules_, kModes.at(mode));
    return *answer;
  }

 private:
  const CudnnLibrary& library_;
  const Descriptor& graph_;
  const PlanTarget& target_;
  const PlanRules& rules_;
  std::array<std::optional<std::vector<Proposal>>, kModes.size()> answers_;
};

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

bool is_hopper(const EngineChoice& choice) {
  const auto has = [&](cudnnBackendKnobType_t kind) {
    return std::any_of(choice.knobs.begin(), choice.knobs.end(), [&](const auto& knob) { return knob.first == kind; });
  };
  if (has(CUDNN_KNOB_TYPE_TILE_CGA_M) || has(CUDNN_KNOB_TYPE_TILE_CGA_N)) return true;
  const auto& compiled = kCompiledHopperEngines;
  return std::find(compiled.begin(), compiled.end(), choice.engine) != compiled.end();
}

std::vector<Plan> find_plans(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                             const PlanRules& rules, std::size_t limit) {
  std::vector<Plan> plans;
  Heuristics heuristics(library, graph, target, rules);
  const auto add = [&](const auto& wanted) {
    for (std::size_t mode = 0; mode < Heuristics::kModes.size(); ++mode) {
      if (plans.size() >= limit) return;
      for (const Proposal& proposal : heuristics.ask(mode)) {
        if (wanted(proposal.choice)) add_plan_if_possible(library, proposal, target, rules, &plans);
        if (plans.size() >= limit) return;
      }
    }
  };
  // Newer GPUs do not have the instructions of compute capability 9.
  const bool has_hopper = rules.hopper_first && target.capability / 10 == kHopper / 10;
  if (has_hopper) add(is_hopper);
  add([&](const EngineChoice& choice) { return !has_hopper || !is_hopper(choice); });
  return plans;
}

std::vector<Plan> restore_plan(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                               const PlanRules& rules, const EngineChoice& choice) {
  std::vector<Plan> plans;
  try {
    const std::optional<Proposal> proposal = propose(make_configuration(library, graph, target, choice), rules);
    if (proposal) add_plan(library, *proposal, target, rules, &plans);
  } catch (const Error&) {
    return {};
  }
  return plans;
}

Descriptor make_device(const CudnnLibrary& library, const std::string& json) {
  Descriptor device(library, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device description");
  // The size includes the terminating zero.
  device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<std::int64_t>(json.size()) + 1,
             json.c_str());
  device.finalize();
  return device;
}

}  // namespace dpm::cuda
