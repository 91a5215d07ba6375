// Runs small graphs on a device through the seam, for comparing devices with one another.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backend/guard.h"
#include "core/error.h"
#include "engine/device.h"
#include "graph/fusion.h"
#include "graph/graph.h"
#include "graph/planner.h"

namespace dpm::test {

/// Sets an environment variable for as long as it lives.
class ScopedEnvironment {
 public:
  ScopedEnvironment(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~ScopedEnvironment() { unsetenv(name_); }
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;

 private:
  const char* name_;
};

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

 private:
  std::mt19937 generator_;
  std::deque<std::vector<float>> storage_;
};

struct GraphInputs {
  std::vector<float> image;
  std::vector<float> time;
  std::vector<std::int32_t> labels;
};

inline graph::Supports supports_of(const Device& device) {
  return [&device](const graph::Graph& graph, const graph::Node& node) {
    const graph::LoweredGraph lowered(graph);
    const dpm_node candidate = graph::LoweredGraph::lower(node);
    return device.api().supports(device.get(), &lowered.get(), &candidate) != 0;
  };
}

/// The output of `graph` for `batch` samples. With `fused`, the passes run first.
inline std::vector<float> run_graph(const std::shared_ptr<Device>& device, graph::Graph graph, int batch,
                                    const GraphInputs& inputs, bool fused) {
  if (fused) graph::fuse(graph, supports_of(*device));
  const graph::LoweredGraph lowered(graph);
  dpm_message message{};
  dpm_network* network = nullptr;
  check(device->api().load(device->get(), &lowered.get(), &network, &message), message);
  const std::unique_ptr<dpm_network, void (*)(dpm_network*)> network_owner(network, device->api().unload);

  const graph::MemoryPlan memory = graph::plan_memory(graph);
  const auto count = static_cast<std::uint64_t>(batch);
  const auto arena = device->allocate(count * memory.elements * device->api().arena_element_bytes);
  const dpm_plan plan{static_cast<std::uint32_t>(batch), memory.offsets.data(), arena->get()};
  dpm_executable* executable = nullptr;
  check(device->api().compile(network, &plan, &executable, &message), message);
  const std::unique_ptr<dpm_executable, void (*)(dpm_executable*)> executable_owner(executable, device->api().discard);

  const auto upload = [&](const auto& values) {
    auto buffer = device->allocate(std::max<std::uint64_t>(values.size() * 4, 4));
    buffer->upload(0, values.data(), values.size() * 4);
    return buffer;
  };
  std::uint64_t out_elements = 0;
  for (const graph::Value& value : graph.values) {
    if (value.role == DPM_ROLE_OUTPUT) out_elements = value.elements();
  }
  const auto image = upload(inputs.image);
  const auto time = upload(inputs.time);
  const auto labels = upload(inputs.labels);
  const auto out = device->allocate(count * out_elements * 4);
  dpm_bindings bindings{};
  bindings.batch = static_cast<std::uint32_t>(batch);
  bindings.image = image->view(inputs.image.size() / count);
  bindings.time = time->view(1);
  bindings.labels = labels->view(1);
  bindings.out = out->view(out_elements);
  check(device->api().run(executable, &bindings, nullptr, &message), message);
  std::vector<float> result(count * out_elements);
  out->download(0, result.data(), result.size() * 4);
  return result;
}

/// max |a - b| / max(1, max |b|).
inline double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 1e30;
  double difference = 0;
  double largest = 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(d <= difference)) difference = d;
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return difference / largest;
}

/// Code of the Error that `body` throws, kOk when it throws none.
ErrorCode code_of(const std::function<void()>& body);

/// The instruction sets this processor runs.
std::vector<std::string> usable_isas();

}  // namespace dpm::test
