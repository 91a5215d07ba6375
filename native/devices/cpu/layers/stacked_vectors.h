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
    std::size_t first = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      parts_.push_back({constants[i], first});
      first += copy(graph.constants[constants[i]], first);
    }
  }

  [[nodiscard]] float* floats() const { return data_.floats(); }

  /// Copies `constant` anew, wherever it is a part.
  void refresh(int index, const dpm_constant& constant) {
    for (const Part& part : parts_) {
      if (part.constant == index) copy(constant, part.first);
    }
  }

 private:
  struct Part {
    int constant;
    std::size_t first;
  };

  std::size_t copy(const dpm_constant& constant, std::size_t first) {
    const ConstantElements elements(constant);
    for (std::size_t i = 0; i < elements.size(); ++i) data_.floats()[first + i] = elements[i];
    return elements.size();
  }

  CountedBuffer data_;
  std::vector<Part> parts_;
};

}  // namespace dpm::cpu
