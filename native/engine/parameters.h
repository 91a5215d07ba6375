// The parameters of a training run: what learns, and what its optimiser keeps of it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/device.h"
#include "engine/gradients.h"
#include "engine/network.h"
#include "graph/graph.h"

namespace dpm {

/// Tensors of a number per parameter.
enum class ParameterTensor { kParameters, kFirstMoments, kSecondMoments, kAverage };

/// Options of a step of Adam, and of AdamW where there is a decay.
struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double decay = 0;  ///< decoupled decay of weights, a factor of the rate
};

/// Numbers of one step of the optimiser.
struct AdamStep {
  std::uint64_t step = 1;     ///< number of this step, from 1 on
  double rate = 0;            ///< learning rate
  double gradient_scale = 1;  ///< factor of the gradients, by which they are clipped
  double average_decay = 0;   ///< what the average keeps of itself
};

/// Five flat tensors of float32: parameters, gradients, both moments and the average, with the constants one after the
/// other in the order of their names; each starts on a line of 64 bytes.
class Parameters {
 public:
  /// Reads the constants of `graph` at these indices, whose data has to be there, and starts from them: moments and
  /// gradients are 0, the average is the parameters. Throws Error(kUnsupported) naming a device that does not train.
  Parameters(const std::shared_ptr<Device>& device, const graph::Graph& graph, const std::vector<int>& learned);

  [[nodiscard]] const GradientPlaces& places() const { return places_; }
  [[nodiscard]] std::uint64_t elements() const { return places_.elements(); }
  /// Tensor of the gradients, to which evaluations add.
  [[nodiscard]] dpm_view gradients() const { return gradients_->view(0); }

  /// Gives the constants of a graph, the one of the constructor, their places, and an identity that no network outside
  /// of this run has, so that no other network's weights move with them.
  void claim(graph::Graph& graph) const;
  /// Packs the weights of a network, whose graph was claimed, from the parameters.
  void pack(Network& network) const;
  /// Takes a step of the optimiser, which also clears the gradients; packs nothing.
  void step(const AdamOptions& options, const AdamStep& step);
  void clear_gradients();
  /// Returns the L2 norm of the gradients, from a sum in double over parts of a fixed length, in order.
  [[nodiscard]] double gradient_norm() const;

  /// Copies a tensor of `elements()` numbers, padding included, to the host, or back.
  void read(ParameterTensor which, float* to) const;
  void write(ParameterTensor which, const float* from);

 private:
  [[nodiscard]] const std::shared_ptr<Buffer>& tensor(ParameterTensor which) const;

  std::shared_ptr<Device> device_;
  GradientPlaces places_;
  /// Identity of each constant that learns, in the order of places.
  std::vector<std::uint64_t> identities_;
  std::shared_ptr<Buffer> parameters_;
  std::shared_ptr<Buffer> gradients_;
  std::shared_ptr<Buffer> first_moments_;
  std::shared_ptr<Buffer> second_moments_;
  std::shared_ptr<Buffer> average_;
  /// Number of what the parameters hold (dpm_repack).
  std::uint64_t version_ = 1;
};

}  // namespace dpm
