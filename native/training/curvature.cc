#include "training/curvature.h"

#include <utility>

#include "training/draws.h"

namespace dpm::training {
namespace {

std::unique_ptr<Network> load(const std::shared_ptr<Device>& device, graph::Graph graph, NetworkOptions network,
                              const TrainerOptions& options) {
  network.without_head = true;
  network.derivative = Derivative::kPullback;
  network.recompute = options.recompute;
  network.learned.clear();
  auto loaded = std::make_unique<Network>(device, std::move(graph), std::move(network));
  loaded->reserve(static_cast<int>(options.batch));
  return loaded;
}

}  // namespace

Curvature::Curvature(const std::shared_ptr<Device>& device, graph::Graph graph, NetworkOptions network,
                     const TrainerOptions& options)
    : options_(options),
      network_(load(device, std::move(graph), std::move(network), options)),
      elements_(network_->shape().image),
      probes_(device->allocate(options.batch * elements_ * sizeof(float))),
      products_(device->allocate(options.batch * elements_ * sizeof(float))),
      host_probes_(options.batch * elements_),
      host_products_(options.batch * elements_) {}

void Curvature::estimate(const Evaluation& inputs, const float* times, const Samples& samples, std::uint32_t step,
                         std::uint32_t first_slot, Buffer& to) {
  const std::size_t bytes = host_probes_.size() * sizeof(float);
  if (samples.probes.empty()) {
    for (std::uint32_t row = 0; row < options_.batch; ++row) {
      draw_signs(Seed::of(options_.seed), step, first_slot + row, elements_, host_probes_.data() + row * elements_);
    }
  } else {
    host_probes_ = samples.probes;
  }
  probes_->upload(0, host_probes_.data(), bytes);
  Evaluation evaluation = inputs;
  evaluation.out_cotangent = probes_->view(elements_);
  evaluation.image_cotangent = products_->view(elements_);
  network_->evaluate(evaluation, times);
  products_->download(0, host_products_.data(), bytes);
  for (std::size_t i = 0; i < host_products_.size(); ++i) {
    const double deviation = options_.levels[samples.levels[i / elements_] - 1].noise;
    host_products_[i] *= static_cast<float>(-deviation) * host_probes_[i];
  }
  to.upload(0, host_products_.data(), bytes);
}

}  // namespace dpm::training
