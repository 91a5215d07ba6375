// A runner of small graphs on a device through the seam, to compare devices with one another.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/guard.h"
#include "core/error.h"
#include "engine/device.h"
#include "graph/graph.h"
#include "graph/lowered.h"
#include "graph/passes/fusion.h"
#include "graph/planner.h"
#include "random_values.h"
#include "scoped_environment.h"

namespace dpm::test {

struct GraphInputs {
  std::vector<float> image;
  std::vector<float> time;
  std::vector<std::int32_t> labels;
  /// Inputs of derivatives, by the names of their bindings.
  std::map<std::string, std::vector<float>> given = {};
};

inline graph::Supports supports_of(const Device& device) {
  return [&device](const graph::Graph& graph, const graph::Node& node) {
    const graph::LoweredGraph lowered(graph);
    const dpm_node candidate = graph::LoweredGraph::lower(node);
    return device.api().network.supports(device.get(), &lowered.get(), &candidate) != 0;
  };
}

/// A graph loaded on a device and prepared for `batch` samples. With `fused`, the passes run first.
class LoadedGraph {
 public:
  LoadedGraph(std::shared_ptr<Device> device, graph::Graph graph, int batch, bool fused);

  /// Copies an evaluation's inputs to the place where `run` reads them, for as many samples as there are.
  void bind(const GraphInputs& inputs, int batch);
  void run() { check(device_->api().network.run(executable_.get(), &bindings_, nullptr, &message_), message_); }
  /// Waits for the work that `run` has queued.
  void wait() { device_->wait_for(views_.back()); }
  [[nodiscard]] std::vector<float> output(const char* name = DPM_BINDING_OUTPUT) const;

 private:
  struct Tensor {
    graph::Binding binding;
    std::uint64_t elements = 0;  ///< elements of a sample, or of what all samples share
    bool is_shared = false;
    std::shared_ptr<Buffer> buffer;
  };

  template <typename T>
  std::shared_ptr<Buffer> upload(const std::vector<T>& values) {
    auto buffer = device_->allocate(std::max<std::uint64_t>(values.size() * sizeof(T), sizeof(T)));
    buffer->upload(0, values.data(), values.size() * sizeof(T));
    return buffer;
  }
  [[nodiscard]] std::uint64_t elements_of(const Tensor& tensor, int batch) const {
    return tensor.elements * (tensor.is_shared ? 1 : static_cast<std::uint64_t>(batch));
  }
  std::shared_ptr<Buffer> upload_input(const std::string& name, const GraphInputs& inputs);

  std::shared_ptr<Device> device_;
  dpm_message message_{};
  std::unique_ptr<dpm_network, void (*)(dpm_network*)> network_;
  std::shared_ptr<Buffer> arena_;
  std::unique_ptr<dpm_executable, void (*)(dpm_executable*)> executable_;
  std::vector<Tensor> tensors_;
  std::vector<dpm_view> views_;
  dpm_bindings bindings_{};
};

/// Returns the output of `graph` for `batch` samples.
inline std::vector<float> run_graph(const std::shared_ptr<Device>& device, graph::Graph graph, int batch,
                                    const GraphInputs& inputs, bool fused) {
  LoadedGraph loaded(device, std::move(graph), batch, fused);
  loaded.bind(inputs, batch);
  loaded.run();
  return loaded.output();
}

/// Returns max |a - b| / max(1, max |b|).
inline double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 1e30;
  double difference = 0;
  double largest = 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    // A NaN stays the result, whatever follows it.
    if (!std::isnan(difference) && !(d <= difference)) difference = d;
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return difference / largest;
}

/// Returns whether a device runs all operations of gradients that a graph has; it may lack them.
bool computes_gradients(const Device& device, const graph::Graph& graph);

/// Returns the code of the Error that `body` throws, kOk when it throws none.
ErrorCode code_of(const std::function<void()>& body);

/// Returns the instruction sets that this processor runs.
std::vector<std::string> usable_isas();

/// Returns whether an instruction set has products of bfloat16.
inline bool has_bf16(const std::string& isa) { return isa == "amx" || isa == "avx512bf16"; }

}  // namespace dpm::test
