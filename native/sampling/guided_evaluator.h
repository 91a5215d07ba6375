// A network whose samples are guided by classifiers on the device, without calls of the caller.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "sampling/evaluator.h"
#include "sampling/request.h"

namespace dpm {

class GuidedEvaluator final : public NetworkEvaluator {
 public:
  /// Every guide has a label for each sample of a request.
  GuidedEvaluator(Network& network, std::vector<Guide> guides)
      : NetworkEvaluator(network), guides_(std::move(guides)) {}

  void reserve(std::uint32_t rows) override;
  [[nodiscard]] bool has_guides() const override { return true; }
  /// The sum of the guides' gradients, each times its scale. Throws Error(kArgument) naming a guide whose gradient is
  /// not finite.
  bool guide(const Evaluation& evaluation, const float* times, const std::vector<std::uint32_t>& samples) override;
  [[nodiscard]] dpm_view guide() const override { return sum_ ? sum_->view(shape().image) : dpm_view{}; }
  /// Steps and trajectories that a device takes as a whole have no guides.
  [[nodiscard]] Network* network() override { return nullptr; }

 private:
  /// Writes the gradient of one guide to `destination`.
  void evaluate_guide(const Guide& guide, const Evaluation& evaluation, const float* times,
                      const std::vector<std::uint32_t>& samples, const dpm_view& destination);
  /// Throws unless the sum of the gradients up to this guide is finite.
  void require_finite(std::size_t guide, const float* times);
  /// Computes sum = `kept` * sum + `scale` * addend, for the rows of the last evaluation; without an addend, sum =
  /// `kept` * sum.
  void combine(float kept, float scale, const dpm_view& addend);

  const std::vector<Guide> guides_;
  std::uint32_t reserved_ = 0;
  std::uint32_t rows_ = 0;
  std::shared_ptr<Buffer> labels_, logits_, sum_, addend_;
  std::vector<std::int32_t> own_labels_;
  std::vector<double> sizes_;
  std::vector<dpm_update_sample> moves_;
};

}  // namespace dpm
