// Targets of a head that learns the curvature of the noised data's log density (OCM-DPM, Ou et al. 2024).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/network.h"
#include "training/options.h"
#include "training/samples.h"

namespace dpm::training {

/// Estimates, for every element of x_n, B_n times the diagonal of the Hessian of ln q(x_n), by one probe of signs r:
/// B r * (H r) = -sqrt(B) r * (J^T r), with J the derivative of the predicted noise by x_n.
class Curvature {
 public:
  /// Loads the network without its head, which predicts the noise and does not learn.
  Curvature(const std::shared_ptr<Device>& device, graph::Graph graph, NetworkOptions network,
            const TrainerOptions& options);

  [[nodiscard]] const NetworkInfo& info() const { return network_->info(); }
  /// Estimates for `samples`, whose first sample has `first_slot` in step `step`.
  ///
  /// @param inputs Noised images, times, labels, texts and the tensor of outputs.
  /// @param times Times of the samples.
  /// @param to Tensor of the images' shape.
  void estimate(const Evaluation& inputs, const float* times, const Samples& samples, std::uint32_t step,
                std::uint32_t first_slot, Buffer& to);

 private:
  const TrainerOptions& options_;
  std::unique_ptr<Network> network_;
  std::uint64_t elements_;
  std::shared_ptr<Buffer> probes_;
  std::shared_ptr<Buffer> products_;
  std::vector<float> host_probes_;
  std::vector<float> host_products_;
};

}  // namespace dpm::training
