// One evaluation of a training run: noised images, the network, the loss, and gradients added to the others.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/network.h"
#include "engine/parameters.h"
#include "training/curvature.h"
#include "training/draws.h"
#include "training/learned_range.h"
#include "training/options.h"
#include "training/samples.h"
#include "training/texts.h"

namespace dpm::training {

/// What a part of a step measures.
struct MeasuredLoss {
  double loss = 0;      ///< its part of the step's loss
  double accuracy = 0;  ///< its part of the step's share of samples whose largest logit is that of their label
  /// Loss of each sample, without the factor of how often its level is drawn; empty for a classifier.
  std::vector<double> of_samples = {};
};

/// Device memory of an evaluation's samples.
class LossEvaluation {
 public:
  /// @param network Network with the loss of the options (graph::Seed).
  /// @param curvature What makes the targets of Loss::kCurvature; null for others.
  /// @param range What makes the cotangents of Loss::kHybrid; null for others.
  LossEvaluation(const std::shared_ptr<Device>& device, const TrainerOptions& options, Network& network,
                 std::unique_ptr<Curvature> curvature, LearnedRange* range);

  /// Evaluates `samples`, whose first sample has `first_slot` in step `step`: adds the gradients of its part of the
  /// step's loss to `gradients`, and returns this part. The loss is the mean over all samples of the step of weight
  /// times the mean over elements of squared differences, or of the cross entropy.
  MeasuredLoss run(const Samples& samples, std::uint32_t step, std::uint32_t first_slot, const dpm_view& gradients);

 private:
  /// What targets are made of; all noise, or all images, need not be made.
  enum class Learned { kNoise, kData, kBoth };
  static Learned learned_by(const TrainerOptions& options);
  [[nodiscard]] std::shared_ptr<Buffer> rows(std::uint64_t elements) const;
  [[nodiscard]] dpm_view view(const std::shared_ptr<Buffer>& buffer) const { return buffer->view(elements_); }
  void upload(const Samples& samples);
  /// Tells the network's dropouts where in the run the samples are.
  void upload_draws(std::uint32_t step, std::uint32_t first_slot);
  /// Makes noise and noised images in one update: x becomes the noise, unless it is given, and y the noised image.
  void add_noise(const Samples& samples, std::uint32_t step, std::uint32_t first_slot);
  /// Makes targets that are sums of noise and images.
  void make_targets(const Samples& samples);
  [[nodiscard]] const std::shared_ptr<Buffer>& target() const;
  [[nodiscard]] MeasuredLoss square(const Samples& samples) const;
  [[nodiscard]] MeasuredLoss classified(const std::vector<std::int32_t>& labels) const;

  std::shared_ptr<Device> device_;
  const TrainerOptions& options_;
  Network& network_;
  std::unique_ptr<Curvature> curvature_;
  LearnedRange* range_;
  std::uint64_t elements_;
  std::shared_ptr<Buffer> data_;
  std::shared_ptr<Buffer> noise_;
  std::shared_ptr<Buffer> noised_;
  Learned learned_;
  std::shared_ptr<Buffer> made_;  ///< targets that are neither noise nor images; null where they are
  std::shared_ptr<Buffer> out_;
  std::shared_ptr<Buffer> head_;  ///< null where the output learns
  std::shared_ptr<Buffer> cotangent_;
  std::shared_ptr<Buffer> times_;
  std::shared_ptr<Buffer> labels_;
  std::shared_ptr<Buffer> weights_;
  std::shared_ptr<Buffer> draws_;  ///< null where nothing drops out
  std::optional<TextMaps> texts_;  ///< absent where the network sees none
  std::vector<float> host_times_;
  std::vector<float> host_weights_;
  std::vector<float> host_draws_;
  std::vector<dpm_record> records_;
  std::vector<dpm_update_sample> samples_;
};

}  // namespace dpm::training
