// Vectors of a node (biases, a norm's weights, a table) as float32, one after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/constant.h"
#include "devices/cpu/device.h"

namespace dpm::cpu {

class StackedVectors {
 public:
  StackedVectors() = default;
  StackedVectors(MemoryCount& memory, const dpm_graph& graph, const std::int32_t* constants, std::uint32_t count) {
    std::size_t total = 0;
    for (std::uint32_t i = 0; i < count; ++i) total += element_count(graph.constants[constants[i]]);
    data_ = CountedBuffer(memory, total * sizeof(float));
    float* next = data_.floats();
    for (std::uint32_t i = 0; i < count; ++i) {
      const ConstantElements elements(graph.constants[constants[i]]);
      for (std::size_t element = 0; element < elements.size(); ++element) *next++ = elements[element];
    }
  }

  [[nodiscard]] float* floats() const { return data_.floats(); }

 private:
  CountedBuffer data_;
};

}  // namespace dpm::cpu
