#include "training/learned_range.h"

#include <numbers>
#include <utility>

#include "core/error.h"
#include "training/range_bound.h"

namespace dpm::training {
namespace {

/// Number of levels whose sum of terms weighs as much as the square error.
constexpr double kLevels = 1000;

std::unique_ptr<Network> load(const std::shared_ptr<Device>& device, graph::Graph graph, NetworkOptions network,
                              const TrainerOptions& options) {
  network.derivative = Derivative::kNone;
  network.learned.clear();
  auto loaded = std::make_unique<Network>(device, std::move(graph), std::move(network));
  require(loaded->shape().out == 2 * loaded->shape().image,
          "a network that learns its variance has two outputs a pixel");
  require(loaded->shape().head == 0, "a network that learns its variance has no head beside it");
  loaded->reserve(static_cast<int>(options.batch));
  return loaded;
}

}  // namespace

LearnedRange::LearnedRange(const std::shared_ptr<Device>& device, graph::Graph graph, NetworkOptions network,
                           const TrainerOptions& options)
    : options_(options),
      network_(load(device, std::move(graph), std::move(network), options)),
      elements_(network_->shape().image),
      out_(device->allocate(options.batch * 2 * elements_ * sizeof(float))),
      host_out_(options.batch * 2 * elements_),
      host_noise_(options.batch * elements_) {}

std::vector<double> LearnedRange::differentiate(const Evaluation& inputs, const float* times, const Samples& samples,
                                                const Buffer& noise, Buffer& to) {
  Evaluation evaluation = inputs;
  evaluation.out = out_->view(2 * elements_);
  network_->evaluate(evaluation, times);
  out_->download(0, host_out_.data(), host_out_.size() * sizeof(float));
  noise.download(0, host_noise_.data(), host_noise_.size() * sizeof(float));
  std::vector<double> losses;
  losses.reserve(options_.batch);
  for (std::uint32_t row = 0; row < options_.batch; ++row) {
    losses.push_back(sample(options_.levels[samples.levels[row] - 1], samples.weights[row],
                            samples.images.data() + row * elements_, host_noise_.data() + row * elements_,
                            host_out_.data() + row * 2 * elements_));
  }
  to.upload(0, host_out_.data(), host_out_.size() * sizeof(float));
  return losses;
}

double LearnedRange::sample(const Level& level, double weight, const float* x0, const float* noise, float* out) const {
  const double part = weight / (static_cast<double>(options_.samples()) * static_cast<double>(elements_));
  const double bits = static_cast<double>(options_.levels.size()) / kLevels / std::numbers::ln2;
  double sum = 0;
  for (std::uint64_t i = 0; i < elements_; ++i) {
    const double residual = static_cast<double>(out[i]) - static_cast<double>(noise[i]);
    const BoundTerm term =
        bound_term(level.step_back, static_cast<double>(x0[i]), residual, static_cast<double>(out[elements_ + i]));
    sum += residual * residual + bits * term.value;
    out[i] = static_cast<float>(2 * residual * part);
    out[elements_ + i] = static_cast<float>(bits * term.slope * part);
  }
  return sum / static_cast<double>(elements_);
}

}  // namespace dpm::training
