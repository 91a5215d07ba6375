#include "training/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace dpm::training {
namespace {

using Clock = std::chrono::steady_clock;

/// Number that the norm of gradients is made larger by before it is compared, as in PyTorch.
constexpr double kClipEpsilon = 1e-6;

graph::Seed seed_of(Loss loss) {
  switch (loss) {
    case Loss::kResidual:
      return graph::Seed::kResidual;
    case Loss::kNoise:
      return graph::Seed::kNoise;
    case Loss::kHybrid:
      return graph::Seed::kGiven;
    case Loss::kCurvature:
      return graph::Seed::kHead;
    case Loss::kCrossEntropy:
      return graph::Seed::kCrossEntropy;
    default:
      return graph::Seed::kSquare;
  }
}

std::unique_ptr<Network> load_network(const std::shared_ptr<Device>& device, graph::Graph graph, NetworkOptions network,
                                      const TrainerOptions& options, const Parameters& parameters) {
  network.derivative = Derivative::kWeights;
  network.seed = seed_of(options.loss);
  network.row_weight = 1 / static_cast<float>(options.samples());
  network.recompute = options.recompute;
  network.pulls_to_image = false;
  network.learned.clear();
  for (const GradientPlace& place : parameters.places().all()) network.learned.push_back(place.constant);
  parameters.claim(graph);
  return std::make_unique<Network>(device, std::move(graph), std::move(network));
}

std::vector<int> learned_constants(const graph::Graph& graph, const NetworkOptions& network) {
  return network.learned.empty() ? graph::differentiable_constants(graph) : network.learned;
}

/// Returns the value of a binding that every network has.
const graph::Value& bound_value(const graph::Graph& graph, const char* name) {
  const int binding = graph.find_binding(name);
  require(binding >= 0, "a network has an image and an output");
  const int value = graph.bindings[static_cast<std::size_t>(binding)].value;
  return graph.values[static_cast<std::size_t>(value)];
}

int classes_of(const graph::Graph& graph, const NetworkOptions& network, const TrainerOptions& options) {
  return options.classifies() ? bound_value(graph, DPM_BINDING_OUTPUT).channels : network.classes;
}

}  // namespace

namespace {

/// Gives every dropout of a graph a stream of its own.
graph::Graph with_draws(graph::Graph graph, std::uint64_t seed) {
  constexpr std::uint32_t kFirstDraw = 16;
  std::uint32_t draw = kFirstDraw;
  for (graph::Node& node : graph.nodes) {
    if (node.op != DPM_OP_DROPOUT) continue;
    auto& dropout = graph::attributes<graph::Dropout>(node);
    dropout.draw = draw++;
    dropout.seed = seed;
  }
  return graph;
}

}  // namespace

Trainer::Trainer(const std::shared_ptr<Device>& device, graph::Graph graph, const NetworkOptions& network,
                 TrainerOptions options, Dataset dataset)
    : options_(std::move(options)),
      dataset_(std::move(dataset)),
      device_(device),
      parameters_(device, graph, learned_constants(graph, network)),
      sampler_(options_.level_sampling, options_.levels.size()) {
  check_options(options_);
  const graph::Value& shape = bound_value(graph, DPM_BINDING_IMAGE);
  dataset_.channels = static_cast<std::uint64_t>(shape.channels);
  dataset_.height = static_cast<std::uint64_t>(shape.height);
  dataset_.width = static_cast<std::uint64_t>(shape.width);
  shape_ = {dataset_.elements(), classes_of(graph, network, options_), text_shape_of(graph)};
  check_null_tokens(options_, shape_.texts);
  if (!dataset_.levels.empty() || !dataset_.values.empty()) check_dataset(options_, dataset_, shape_);
  load(device, with_draws(std::move(graph), options_.seed), network);
}

void Trainer::load(const std::shared_ptr<Device>& device, graph::Graph graph, const NetworkOptions& network) {
  std::unique_ptr<Curvature> curvature;
  if (options_.loss == Loss::kCurvature) curvature = std::make_unique<Curvature>(device, graph, network, options_);
  if (options_.loss == Loss::kHybrid) {
    graph::Graph alone = graph;
    parameters_.claim(alone);
    range_ = std::make_unique<LearnedRange>(device, std::move(alone), network, options_);
  }
  network_ = load_network(device, std::move(graph), network, options_, parameters_);
  info_ = network_->info();
  const auto count = [&](const NetworkInfo& info) {
    info_.weight_bytes += info.weight_bytes;
    info_.row_bytes += info.row_bytes;
  };
  if (curvature) count(curvature->info());
  if (range_) count(range_->network().info());
  pack();
  require(!options_.is_square() || network_->shape().out == network_->shape().image,
          "a network that learns has an output of its image's shape");
  require(!options_.learns_head() || network_->shape().head == network_->shape().image,
          "a head that learns has its image's shape");
  loss_ = std::make_unique<LossEvaluation>(device, options_, *network_, std::move(curvature), range_.get());
}

void Trainer::pack() {
  parameters_.pack(*network_);
  if (range_) parameters_.pack(range_->network());
}

void Trainer::check(const TrainingSteps& request) const {
  require(request.rates.size() == request.average_decays.size(), "rates and averageDecays have an entry for each step");
  constexpr std::uint64_t kMostSteps = 0xFFFFFFFF;
  require(request.first_step <= kMostSteps && request.rates.size() <= kMostSteps - request.first_step,
          "firstStep is too large");
  const auto is_rate = [](double rate) { return std::isfinite(rate) && rate >= 0; };
  require(std::ranges::all_of(request.rates, is_rate), "rates have to be at least 0");
  const auto is_decay = [](double decay) { return decay >= 0 && decay <= 1; };
  require(std::ranges::all_of(request.average_decays, is_decay), "averageDecays have to be from 0 to 1");
  if (request.samples) {
    check_given(options_, *request.samples, shape_, request.rates.size());
  } else {
    require(dataset_.count() > 0, "images: there are none, and no samples were given");
  }
}

StepResult Trainer::run(const TrainingSteps& request, const std::atomic<bool>& stopping) {
  check(request);
  const auto start = Clock::now();
  StepResult result;
  for (std::uint64_t index = 0; index < request.rates.size() && result.failure.empty(); ++index) {
    if (stopping) throw Error(ErrorCode::kClosed, "the engine was closed");
    if (request.cancelled && request.cancelled->load()) break;
    step(request, index, result);
    if (request.progress && result.failure.empty()) request.progress(index + 1, request.rates.size());
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

void Trainer::step(const TrainingSteps& request, std::uint64_t index, StepResult& result) {
  const std::uint64_t number = request.first_step + index;
  MeasuredLoss measured;
  double norm = 0;
  try {
    measured = differentiate(request, index, static_cast<std::uint32_t>(number));
    norm = parameters_.gradient_norm();
  } catch (...) {
    parameters_.clear_gradients();
    throw;
  }
  if (!std::isfinite(measured.loss) || !std::isfinite(norm)) {
    parameters_.clear_gradients();
    result.failure = std::isfinite(measured.loss) ? "the gradients are not finite" : "the loss is not finite";
    return;
  }
  AdamStep adam;
  adam.step = number + 1;
  adam.rate = request.rates[index];
  adam.average_decay = request.average_decays[index];
  if (options_.clip > 0) adam.gradient_scale = std::min(1.0, options_.clip / (norm + kClipEpsilon));
  parameters_.step(options_.adam, adam);
  pack();
  for (const auto& [level, loss] : losses_) sampler_.note(level, loss);
  sampler_.refresh();
  result.losses.push_back(measured.loss);
  if (options_.classifies()) result.accuracies.push_back(measured.accuracy);
  result.norms.push_back(norm);
}

MeasuredLoss Trainer::differentiate(const TrainingSteps& request, std::uint64_t index, std::uint32_t step) {
  MeasuredLoss sum;
  losses_.clear();
  for (std::uint32_t part = 0; part < options_.accumulate; ++part) {
    const std::uint32_t slot = part * options_.batch;
    if (request.samples) {
      copy_samples(options_, *request.samples, shape_, index * options_.samples() + slot, samples_);
    } else {
      draw_samples(options_, dataset_, sampler_, step, slot, samples_);
    }
    const MeasuredLoss measured = loss_->run(samples_, step, slot, parameters_.gradients());
    sum.loss += measured.loss;
    sum.accuracy += measured.accuracy;
    for (std::size_t row = 0; row < measured.of_samples.size(); ++row) {
      losses_.emplace_back(samples_.levels[row], measured.of_samples[row]);
    }
  }
  return sum;
}

void Trainer::write(ParameterTensor which, const float* from) {
  parameters_.write(which, from);
  if (which == ParameterTensor::kParameters) pack();
}

}  // namespace dpm::training
