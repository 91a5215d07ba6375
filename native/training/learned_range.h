// The loss of networks that learn their variance, too (Nichol and Dhariwal 2021, L_hybrid).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/network.h"
#include "training/options.h"
#include "training/samples.h"

namespace dpm::training {

/// Makes the cotangents of outputs [2 C, H, W]: of the predicted noise by its mean square error, of the range by the
/// bound's term in bits per dimension, in which the mean does not learn, times N / 1000 for N levels.
class LearnedRange {
 public:
  /// Loads the network alone, whose outputs the cotangents follow from. Its constants that learn have their places.
  LearnedRange(const std::shared_ptr<Device>& device, graph::Graph graph, NetworkOptions network,
               const TrainerOptions& options);

  [[nodiscard]] Network& network() { return *network_; }
  /// Returns the loss of each of `samples`, and writes the cotangents of their part of the step's loss.
  ///
  /// @param inputs Noised images, times, labels and texts, and the tensor of outputs.
  /// @param times Times of the samples.
  /// @param noise Noise of the samples.
  /// @param to Tensor of the outputs' shape.
  std::vector<double> differentiate(const Evaluation& inputs, const float* times, const Samples& samples,
                                    const Buffer& noise, Buffer& to);

 private:
  /// Returns the loss of a sample of this weight, and replaces its outputs by their cotangents.
  double sample(const Level& level, double weight, const float* x0, const float* noise, float* out) const;

  const TrainerOptions& options_;
  std::unique_ptr<Network> network_;
  std::uint64_t elements_;
  std::shared_ptr<Buffer> out_;
  std::vector<float> host_out_;
  std::vector<float> host_noise_;
};

}  // namespace dpm::training
