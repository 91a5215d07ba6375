// Gradients of a network's constants: which there are, and where each lies in one tensor of all. Parameters, moments
// and averages of training lie in the same places.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace dpm {

/// The place of a constant's gradient, in elements. Its elements lie in row-major order of the constant's dimensions.
struct GradientPlace {
  int constant = -1;
  std::uint64_t offset = 0;
  std::uint64_t elements = 0;
};

/// The gradients of some constants, one after the other in the order of the constants' names (ascending, by bytes);
/// each starts on a line of 64 bytes.
class GradientPlaces {
 public:
  GradientPlaces() = default;
  GradientPlaces(const graph::Graph& graph, std::vector<int> constants);

  [[nodiscard]] const std::vector<GradientPlace>& all() const { return places_; }
  /// Number of elements of the tensor of all gradients; 0: there are none.
  [[nodiscard]] std::uint64_t elements() const { return elements_; }
  /// Finds the place of the gradient that a binding of `graph` is called after; null where it is no gradient.
  [[nodiscard]] const GradientPlace* find(const graph::Graph& graph, std::string_view binding) const;

 private:
  std::vector<GradientPlace> places_;
  std::uint64_t elements_ = 0;
};

}  // namespace dpm
