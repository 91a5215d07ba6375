// The shapes of a graph's constants, kept to check what comes in their place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/error.h"

namespace dpm {

class ConstantShapes {
 public:
  explicit ConstantShapes(const dpm_graph& graph) {
    for (std::uint32_t i = 0; i < graph.constant_count; ++i) shapes_.push_back(shape_of(graph.constants[i]));
  }

  /// Throws Error(kArgument) for a constant that the graph does not have, Error(kTensorShape) for another shape.
  void check(std::uint32_t index, const dpm_constant& constant) const {
    require(index < shapes_.size(), "a constant is refreshed that the network does not have");
    if (shape_of(constant) == shapes_[index]) return;
    throw Error(ErrorCode::kTensorShape, "constant " + std::to_string(index) + " is refreshed by one of another shape");
  }

 private:
  static std::vector<std::int64_t> shape_of(const dpm_constant& constant) {
    return {constant.dims, constant.dims + constant.rank};
  }

  std::vector<std::vector<std::int64_t>> shapes_;
};

}  // namespace dpm
