#include "graph_runner.h"

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
  names_ = graph.bindings;
  const int out = graph.find_binding(DPM_BINDING_OUTPUT);
  if (out >= 0)
    out_elements_ = graph.values[static_cast<std::size_t>(names_[static_cast<std::size_t>(out)].value)].elements();
}

void LoadedGraph::bind(const GraphInputs& inputs, int batch) {
  const auto count = static_cast<std::uint64_t>(batch);
  image_ = upload(inputs.image);
  time_ = upload(inputs.time);
  labels_ = upload(inputs.labels);
  out_ = device_->allocate(count * out_elements_ * sizeof(float));
  views_.clear();
  for (const graph::Binding& binding : names_) {
    const bool is_output = binding.name == DPM_BINDING_OUTPUT;
    const auto& buffer = is_output                           ? out_
                         : binding.name == DPM_BINDING_TIME  ? time_
                         : binding.name == DPM_BINDING_LABEL ? labels_
                                                             : image_;
    const std::uint64_t elements = binding.name == DPM_BINDING_IMAGE ? inputs.image.size() / count : 1;
    views_.push_back(buffer->view(is_output ? out_elements_ : elements));
  }
  bindings_ = {static_cast<std::uint32_t>(batch), static_cast<std::uint32_t>(views_.size()), views_.data()};
}

std::vector<float> LoadedGraph::output() const {
  std::vector<float> result(bindings_.batch * out_elements_);
  out_->download(0, result.data(), result.size() * sizeof(float));
  return result;
}

}  // namespace dpm::test
