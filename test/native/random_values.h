// Random numbers, and weights made of them.
#pragma once

#include <cstdint>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace dpm::test {

/// Random numbers whose storage outlives the graphs that refer to them.
class RandomValues {
 public:
  explicit RandomValues(std::uint32_t seed) : generator_(seed) {}

  std::vector<float> normals(std::size_t count, float scale = 1, float shift = 0) {
    std::normal_distribution<float> distribution(shift, scale);
    std::vector<float> values(count);
    for (float& value : values) value = distribution(generator_);
    return values;
  }

  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator_); }

  graph::Constant constant(std::vector<std::int64_t> dims, float scale = 1, float shift = 0) {
    std::size_t count = 1;
    for (const std::int64_t dim : dims) count *= static_cast<std::size_t>(dim);
    storage_.push_back(normals(count, scale, shift));
    return {storage_.back().data(), DType::kFloat32, std::move(dims), "random"};
  }

  /// Whole numbers from 0 to below `below`.
  graph::Constant whole_numbers(std::vector<std::int64_t> dims, int below) {
    graph::Constant made = constant(std::move(dims));
    made.name = "whole numbers";
    for (float& element : storage_.back()) element = static_cast<float>(between(0, below - 1));
    return made;
  }

 private:
  std::mt19937 generator_;
  std::deque<std::vector<float>> storage_;
};

}  // namespace dpm::test
