// A network's layers with their packed weights, and its executables.
#pragma once

#include <memory>
#include <vector>

#include "devices/cpu/layers/layer.h"
#include "devices/cpu/time_table.h"

struct dpm_network {
  static constexpr std::uint64_t kWinogradBytes = std::uint64_t{1} << 30;

  /// Packs the weights of `graph`. Layers whose Winograd weights would exceed `winograd_bytes` in all are direct.
  dpm_network(dpm_device& owner, const dpm_graph& graph, std::uint64_t winograd_bytes = kWinogradBytes);

  dpm_device& device;
  std::vector<dpm::cpu::ValueInfo> values;
  std::vector<std::unique_ptr<dpm::cpu::Layer>> layers;
  dpm::cpu::TimeTable times;
  int norm_channels = 0;  ///< most channels of a group norm that its reader applies
};

struct dpm_executable {
  dpm_executable(dpm_network& owner, const dpm_plan& plan);

  /// One evaluation; with `node_seconds`, the time of every layer.
  void run(const dpm_bindings& bindings, double* node_seconds) const;

  dpm_network& network;
  int batch;
  std::vector<std::uint64_t> offsets;
  float* arena;
  dpm::cpu::CountedBuffer scratch;
  dpm::cpu::CountedBuffer norm_coefficients;
};
