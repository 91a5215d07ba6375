// A network that learns: steps of noise, evaluation, clipping and the optimiser, without a word from outside.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/network.h"
#include "engine/parameters.h"
#include "training/dataset.h"
#include "training/loss.h"
#include "training/options.h"
#include "training/samples.h"

namespace dpm::training {

/// Steps that are run one after the other.
struct TrainingSteps {
  std::uint64_t first_step = 0;         ///< number of the first step, from 0 on
  std::vector<double> rates;            ///< learning rate of each step
  std::vector<double> average_decays;   ///< what the average keeps of itself in each step
  std::optional<GivenSamples> samples;  ///< samples of the steps; absent: drawn from the data set
  std::shared_ptr<const std::atomic<bool>> cancelled;
  /// Receives the numbers of steps that are done, and of all.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

/// What was measured in each step that is done.
struct StepResult {
  std::vector<double> losses;
  std::vector<double> norms;  ///< L2 norms of the gradients, before they are clipped
  /// Shares of a classifier's samples whose largest logit is that of their label; empty: it is none.
  std::vector<double> accuracies;
  double seconds = 0;
  std::string failure;  ///< why the step behind these was not taken, which ended the run; empty: nothing
};

class Trainer {
 public:
  /// Loads a network with its loss; the constants of `graph` have to stay where they are until then. Its weights are
  /// its own: no other network's move with them. Without images, all samples are given. Throws Error(kArgument) for
  /// options and data out of range, Error(kUnsupported) for networks and devices that do not train.
  Trainer(const std::shared_ptr<Device>& device, graph::Graph graph, const NetworkOptions& network,
          TrainerOptions options, Dataset dataset);
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Facts about all that is loaded.
  [[nodiscard]] const NetworkInfo& info() const { return info_; }
  [[nodiscard]] const Parameters& parameters() const { return parameters_; }

  /// Runs steps. Between two it looks at `cancelled`, after which the result is that of the steps done so far, and at
  /// `stopping`, after which it throws Error(kClosed). A step whose loss or gradients are not finite ends the run with
  /// `failure`, and leaves everything as it was before that step.
  StepResult run(const TrainingSteps& request, const std::atomic<bool>& stopping);
  void read(ParameterTensor which, float* to) const { parameters_.read(which, to); }
  /// Replaces a tensor, and packs the network's weights where these are the parameters.
  void write(ParameterTensor which, const float* from);
  /// Losses that the levels of samples are drawn by (LevelSampler::losses).
  [[nodiscard]] const std::vector<float>& level_losses() const { return sampler_.losses(); }
  void set_level_losses(const std::vector<float>& losses) { sampler_.set_losses(losses); }

 private:
  /// Loads the network, and what else the loss evaluates.
  void load(const std::shared_ptr<Device>& device, graph::Graph graph, const NetworkOptions& network);
  /// Packs the weights of all networks from the parameters.
  void pack();
  void check(const TrainingSteps& request) const;
  /// Takes step number `step`, the one of index `index` in the request.
  void step(const TrainingSteps& request, std::uint64_t index, StepResult& result);
  /// Adds the gradients of a step, and returns its loss.
  MeasuredLoss differentiate(const TrainingSteps& request, std::uint64_t index, std::uint32_t step);

  TrainerOptions options_;
  SampleShape shape_;
  Dataset dataset_;
  std::shared_ptr<Device> device_;
  Parameters parameters_;
  std::unique_ptr<Network> network_;
  NetworkInfo info_;
  std::unique_ptr<LearnedRange> range_;  ///< null where no variance is learned
  std::unique_ptr<LossEvaluation> loss_;
  LevelSampler sampler_;
  /// Losses of the step's samples, by their levels.
  std::vector<std::pair<std::uint32_t, double>> losses_;
  Samples samples_;
};

}  // namespace dpm::training
