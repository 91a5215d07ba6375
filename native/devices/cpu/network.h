// A network's layers with their packed weights, and its executables.
#pragma once

#include <memory>
#include <vector>

#include "devices/cpu/layers/layer.h"
#include "devices/cpu/time_table.h"

namespace dpm::cpu {

struct Network {
  static constexpr std::uint64_t kWinogradBytes = std::uint64_t{1} << 30;

  /// Most bytes of Winograd weights of a network on a device: half as many where bfloat16 products of one term take the
  /// other layers, which costs 3 % of the time (bench/RESULTS.md) and saves a sixth of the memory.
  static std::uint64_t winograd_bytes_of(const Device& device) {
    return device.bf16_terms == 1 ? kWinogradBytes / 2 : kWinogradBytes;
  }

  /// Packs the weights of `graph`. Layers whose Winograd weights would exceed a total of `winograd_bytes` are direct.
  Network(Device& owner, const dpm_graph& graph, std::uint64_t winograd_bytes = kWinogradBytes);

  Device& device;
  std::uint32_t bindings;
  std::vector<ValueInfo> values;
  std::vector<std::unique_ptr<Layer>> layers;
  std::vector<MovingWeights> moving;  ///< weights that move, to be packed again
  std::vector<MovingWeights> staged;  ///< weights of each layer that are packed before it runs; none: no `packed`
  const float* parameters = nullptr;  ///< parameters of the last dpm_repack
  TimeTable times;
  bool weights_move = false;       ///< tells whether there are weights that move
  std::uint64_t weight_bytes = 0;  ///< bytes of packed weights that an evaluation reads
  bool sums_rows = false;          ///< tells whether a node adds up all rows of an evaluation
  int norm_channels = 0;           ///< maximum of channels of a group norm that its reader applies
};

struct Executable {
  Executable(Network& owner, const dpm_plan& plan);

  /// Runs one evaluation; `node_seconds`, where given, receives the time of every layer.
  void run(const dpm_bindings& bindings, double* node_seconds) const;

  Network& network;
  int batch;
  std::vector<std::uint64_t> offsets;
  float* arena;
  CountedBuffer scratch;
  CountedBuffer norm_coefficients;

 private:
  /// Returns whether it is better for each thread to run all layers on rows of its own.
  [[nodiscard]] bool shares_rows(int rows) const;
  [[nodiscard]] RunContext context(const dpm_bindings& bindings) const;
  /// Runs all layers on some rows, whose times are known.
  void run_rows(const dpm_bindings& bindings, int part, int parts) const;

  /// Number of elements of one sample in the arena.
  std::uint64_t elements_ = 0;
  /// Tells whether the arena can be cut into parts of whole rows, and it is better for each thread to have some.
  bool has_parts_ = false;
  /// Number of scratch floats for the rows of one thread.
  std::size_t part_scratch_ = 0;
};

}  // namespace dpm::cpu
