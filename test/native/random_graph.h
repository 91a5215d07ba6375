// Graphs from a stream of choices: any operation reads any earlier values that suit it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "engine/network.h"
#include "graph_maker.h"

namespace dpm::test {

class RandomGraph {
 public:
  enum Kind : std::uint8_t {
    kDifferentiable,  ///< every operation has a derivative
    kAnyOperation,
    kHostile,  ///< any operation; some indices, attributes and shapes are wrong
  };

  /// Makes a graph; `choose(n)` is one of 0 .. n - 1.
  RandomGraph(std::function<int(int)> choose, Kind kind);

  [[nodiscard]] const graph::Graph& graph() const { return maker_.graph(); }
  [[nodiscard]] const NetworkOptions& options() const { return options_; }
  [[nodiscard]] int batch() const { return batch_; }

  /// Returns its network on a device.
  [[nodiscard]] Network network(const std::shared_ptr<Device>& device, Derivative derivative = Derivative::kNone,
                                graph::Recompute recompute = graph::Recompute::kNone) const;
  /// Returns its outputs on a device.
  [[nodiscard]] std::vector<float> run(const std::shared_ptr<Device>& device) const;

 private:
  bool one_in(int n) { return choose_(n) == n - 1; }
  int any_of(const std::vector<int>& values) {
    return values[static_cast<std::size_t>(choose_(static_cast<int>(values.size())))];
  }
  [[nodiscard]] const graph::Value& shape(int value) const {
    return maker_.graph().values[static_cast<std::size_t>(value)];
  }

  void add_conditions();
  void grow();
  void finish();
  void spoil();
  /// Picks an earlier value, with a preference for later ones.
  int pick();
  /// Picks another value of the same shape, or the same one.
  int partner(int value);
  int vector_for(int channels);
  int groups_for(int channels);
  void keep(int value);
  int convolution(int x);
  int resampled(int x);
  int attention(int x);
  /// Adds an operation, or a form of one, that has no derivative.
  void grow_underivable(int x);
  int crossed_attention(int x);

  std::function<int(int)> choose_;
  RandomValues random_{5};
  GraphMaker maker_{random_};
  NetworkOptions options_;
  int batch_ = 1;
  std::vector<int> maps_;
  int time_ = -1;
  std::vector<int> vectors_;
};

}  // namespace dpm::test
