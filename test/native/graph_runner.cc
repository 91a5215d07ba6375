#include "graph_runner.h"

#include <algorithm>
#include <sstream>

#include "devices/cpu/isa_select.h"

namespace dpm::test {

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kOk;
}

bool computes_gradients(const Device& device, const graph::Graph& graph) {
  const graph::Supports supports = supports_of(device);
  return std::ranges::all_of(graph.nodes, [&](const graph::Node& node) {
    const bool is_of_gradients = node.op >= DPM_OP_CONVOLUTION_WEIGHTS || node.outputs.size() > 1;
    return !is_of_gradients || supports(graph, node);
  });
}

std::vector<std::string> usable_isas() {
  std::vector<std::string> names;
  std::istringstream text(cpu::available_isas());
  for (std::string name; std::getline(text, name, ',');) names.push_back(name.substr(name.find_first_not_of(' ')));
  return names;
}

LoadedGraph::LoadedGraph(std::shared_ptr<Device> device, graph::Graph graph, int batch, bool fused)
    : device_(std::move(device)),
      network_(nullptr, device_->api().network.unload),
      executable_(nullptr, device_->api().network.discard) {
  if (fused) graph::fuse(graph, supports_of(*device_));
  const graph::LoweredGraph lowered(graph);
  dpm_network* network = nullptr;
  check(device_->api().network.load(device_->get(), &lowered.get(), &network, &message_), message_);
  network_.reset(network);

  const graph::MemoryPlan memory = graph::plan_memory(graph, device_->placement_rules());
  const auto count = static_cast<std::uint64_t>(batch);
  arena_ = device_->allocate(count * memory.elements * device_->api().device.arena_element_bytes(device_->get()));
  const dpm_plan plan{static_cast<std::uint32_t>(batch), memory.offsets.data(), arena_->get()};
  dpm_executable* executable = nullptr;
  check(device_->api().network.compile(network, &plan, &executable, &message_), message_);
  executable_.reset(executable);
  for (const graph::Binding& binding : graph.bindings) {
    const graph::Value& value = graph.values[static_cast<std::size_t>(binding.value)];
    tensors_.push_back({binding, value.elements(), value.is_shared(), nullptr});
  }
}

std::shared_ptr<Buffer> LoadedGraph::upload_input(const std::string& name, const GraphInputs& inputs) {
  if (name == DPM_BINDING_IMAGE) return upload(inputs.image);
  if (name == DPM_BINDING_TIME) return upload(inputs.time);
  if (name == DPM_BINDING_LABEL) return upload(inputs.labels);
  return upload(inputs.given.at(name));
}

void LoadedGraph::bind(const GraphInputs& inputs, int batch) {
  views_.clear();
  for (Tensor& tensor : tensors_) {
    const bool is_output = tensor.binding.direction == DPM_DIRECTION_OUTPUT;
    tensor.buffer = is_output ? device_->allocate(elements_of(tensor, batch) * sizeof(float))
                              : upload_input(tensor.binding.name, inputs);
    // Sums over rows are added to what is there.
    if (tensor.is_shared) tensor.buffer->clear(0, tensor.buffer->bytes());
    views_.push_back(tensor.buffer->view(tensor.is_shared ? 0 : tensor.elements));
  }
  bindings_ = {static_cast<std::uint32_t>(batch), static_cast<std::uint32_t>(views_.size()), views_.data(), {}};
}

std::vector<float> LoadedGraph::output(const char* name) const {
  const auto tensor = std::ranges::find_if(tensors_, [&](const Tensor& each) { return each.binding.name == name; });
  if (tensor == tensors_.end()) return {};
  std::vector<float> result(elements_of(*tensor, static_cast<int>(bindings_.batch)));
  tensor->buffer->download(0, result.data(), result.size() * sizeof(float));
  return result;
}

}  // namespace dpm::test
