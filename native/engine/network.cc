#include "engine/network.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string_view>
#include <utility>

#include "backend/guard.h"
#include "core/error.h"
#include "engine/update_check.h"
#include "graph/lowered.h"
#include "graph/operation.h"
#include "graph/passes/fusion.h"
#include "graph/passes/remove_output.h"
#include "graph/validate.h"

namespace dpm {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

bool device_supports(const Device& device, const graph::Graph& graph, const graph::Node& node) {
  const graph::LoweredGraph lowered(graph);
  const dpm_node candidate = graph::LoweredGraph::lower(node);
  return device.api().network.supports(device.get(), &lowered.get(), &candidate) != 0;
}

NetworkShape shape_of(const graph::Graph& graph, int classes) {
  NetworkShape shape;
  shape.classes = classes;
  for (const graph::Binding& binding : graph.bindings) {
    const graph::Value& value = graph.values[static_cast<std::size_t>(binding.value)];
    const std::uint64_t elements = value.elements();
    if (binding.name == DPM_BINDING_IMAGE) shape.image = elements;
    if (binding.name == DPM_BINDING_OUTPUT) shape.out = elements;
    if (binding.name == DPM_BINDING_HEAD) shape.head = elements;
    if (binding.name == DPM_BINDING_CONTEXT) shape.context = elements;
    if (binding.name == DPM_BINDING_CONTEXT) shape.shares_context = value.is_of_groups();
    if (binding.name == DPM_BINDING_ADDED) shape.added = elements;
    if (binding.name == DPM_BINDING_GUIDANCE) shape.guidance = elements;
    if (binding.name == DPM_BINDING_DRAWS) shape.draws = elements;
  }
  return shape;
}

}  // namespace

Network::Network(std::shared_ptr<Device> device, graph::Graph graph, NetworkOptions options)
    : device_(std::move(device)), graph_(std::move(graph)), options_(std::move(options)) {
  const auto start = Clock::now();
  graph::validate(graph_);
  require(options_.classes >= 0, "a network has a negative number of classes");
  for (const graph::Constant& constant : graph_.constants) {
    info_.parameters += static_cast<std::uint64_t>(constant.elements());
  }
  derive();
  graph::fuse(graph_, [this](const graph::Graph& graph, const graph::Node& node) {
    return device_supports(*device_, graph, node);
  });
  require_gradients();
  info_.nodes = graph_.nodes.size();
  for (const graph::Node& node : graph_.nodes) info_.multiply_adds += graph::multiply_adds(graph_, node);
  plan_ = graph::plan_memory(graph_, device_->placement_rules());
  info_.row_bytes = plan_.elements * device_->api().device.arena_element_bytes(device_->get());
  shape_ = shape_of(graph_, options_.classes);
  find_bindings();
  info_.load.plan = seconds_since(start);
  load();
}

void Network::load() {
  for (graph::Constant& constant : graph_.constants) {
    if (!constant.read) continue;
    constant.read = [this, read = std::move(constant.read)](void* to) {
      const auto start = Clock::now();
      read(to);
      info_.load.read += seconds_since(start);
    };
  }
  const auto start = Clock::now();
  const graph::LoweredGraph lowered(graph_);
  info_.weight_bytes = device_->bytes_taken_by([&] {
    dpm_message message{};
    check(device_->api().network.load(device_->get(), &lowered.get(), &network_, &message), message);
  });
  info_.load.pack = seconds_since(start) - info_.load.read;
  // The caller owns the memory and files behind the weights.
  for (graph::Constant& constant : graph_.constants) {
    constant.data = nullptr;
    constant.read = nullptr;
  }
}

void Network::derive() {
  if (options_.without_head) graph::remove_output(graph_, DPM_BINDING_HEAD);
  switch (options_.derivative) {
    case Derivative::kNone:
      return;
    case Derivative::kPullback:
      return graph::differentiate(graph_, options_.recompute);
    case Derivative::kPushforward:
      return graph::linearise(graph_);
    case Derivative::kLabelScore:
      return graph::differentiate_label(graph_, options_.recompute);
    case Derivative::kWeights: {
      const std::vector<int> learned =
          options_.learned.empty() ? graph::differentiable_constants(graph_) : options_.learned;
      graph::differentiate_training(graph_, {learned, options_.pulls_to_image, options_.pulls_to_context,
                                             options_.recompute, options_.seed, options_.row_weight});
      if (options_.seed != graph::Seed::kGiven && divides()) {
        throw Error(ErrorCode::kUnsupported, "there is no loss of an output that is divided afterwards");
      }
      gradients_ = GradientPlaces(graph_, learned);
    }
  }
}

void Network::require_gradients() const {
  for (const graph::Node& node : graph_.nodes) {
    const bool is_needed = graph::is_of_gradients(node.op) || node.outputs.size() > 1;
    if (!is_needed || device_supports(*device_, graph_, node)) continue;
    throw Error(ErrorCode::kUnsupported, node.name + ": the " + device_->name() + " device does not compute " +
                                             graph::operation_of(node.op).name +
                                             (node.outputs.size() > 1 ? " with its sums" : "") +
                                             ", which gradients of weights take");
  }
}

void Network::repack(const dpm_repack& parameters) {
  const auto entry = device_->api().network.repack;
  if (entry == nullptr) {
    throw Error(ErrorCode::kUnsupported, "the " + device_->name() + " device does not train: its weights do not move");
  }
  dpm_message message{};
  check(entry(network_, &parameters, &message), message);
}

Network::~Network() {
  release_executable();
  if (network_ != nullptr) device_->api().network.unload(network_);
}

void Network::release_executable() {
  if (executable_ != nullptr) device_->api().network.discard(executable_);
  executable_ = nullptr;
  arena_.reset();
  reserved_ = 0;
}

void Network::reserve(int batch) {
  if (batch <= reserved_) return;
  const int before = reserved_;
  // The old executable is released first, because both sizes at once may not fit into memory.
  release_executable();
  try {
    compile(batch);
  } catch (...) {
    // The smaller size that was reserved before is restored.
    if (before > 0) compile(before);
    throw;
  }
}

void Network::compile(int batch) {
  const auto count = static_cast<std::uint64_t>(batch);
  std::shared_ptr<Buffer> arena = device_->allocate(count * info_.row_bytes);
  const dpm_plan plan{static_cast<std::uint32_t>(batch), plan_.offsets.data(), arena->get()};
  dpm_message message{};
  check(device_->api().network.compile(network_, &plan, &executable_, &message), message);
  arena_ = std::move(arena);
  reserved_ = batch;
}

void Network::find_bindings() {
  static constexpr std::pair<std::string_view, dpm_view Evaluation::*> kTensors[] = {
      {DPM_BINDING_IMAGE, &Evaluation::image},
      {DPM_BINDING_TIME, &Evaluation::time},
      {DPM_BINDING_LABEL, &Evaluation::labels},
      {DPM_BINDING_OUTPUT, &Evaluation::out},
      {DPM_BINDING_HEAD, &Evaluation::head},
      {DPM_BINDING_CONTEXT, &Evaluation::context},
      {DPM_BINDING_ADDED, &Evaluation::added},
      {DPM_BINDING_GUIDANCE, &Evaluation::guidance},
      {DPM_BINDING_OUTPUT_COTANGENT, &Evaluation::out_cotangent},
      {DPM_BINDING_HEAD_COTANGENT, &Evaluation::head_cotangent},
      {DPM_BINDING_IMAGE_COTANGENT, &Evaluation::image_cotangent},
      {DPM_BINDING_CONTEXT_COTANGENT, &Evaluation::context_cotangent},
      {DPM_BINDING_IMAGE_TANGENT, &Evaluation::image_tangent},
      {DPM_BINDING_OUTPUT_TANGENT, &Evaluation::out_tangent},
      {DPM_BINDING_HEAD_TANGENT, &Evaluation::head_tangent},
      {DPM_BINDING_TARGET, &Evaluation::target},
      {DPM_BINDING_LOSS_WEIGHT, &Evaluation::loss_weight},
      {DPM_BINDING_DRAWS, &Evaluation::draws},
  };
  require(shape_.image > 0 && shape_.out > 0, "a network has an image and an output");
  views_.resize(graph_.bindings.size());
  for (const graph::Binding& binding : graph_.bindings) {
    if (const GradientPlace* place = gradients_.find(graph_, binding.name)) {
      tensors_.push_back({&Evaluation::gradients, place->offset});
      continue;
    }
    const auto* const found = std::find_if(std::begin(kTensors), std::end(kTensors),
                                           [&](const auto& tensor) { return tensor.first == binding.name; });
    if (found == std::end(kTensors)) {
      throw Error(ErrorCode::kUnsupported, "a network's tensor is called " + binding.name + ", which nobody fills");
    }
    tensors_.push_back({found->second});
  }
}

void Network::run(const Evaluation& evaluation, double* node_seconds) {
  for (std::size_t i = 0; i < views_.size(); ++i) {
    views_[i] = evaluation.*tensors_[i].tensor;
    views_[i].offset += tensors_[i].offset;
  }
  const dpm_bindings bindings{evaluation.batch, static_cast<std::uint32_t>(views_.size()), views_.data(),
                              evaluation.groups};
  dpm_message message{};
  check(device_->api().network.run(executable_, &bindings, node_seconds, &message), message);
}

void Network::evaluate(const Evaluation& evaluation, const float* times) {
  const bool has_gradients = gradients_.elements() > 0;
  if (has_gradients) require_tensors_of_gradients(evaluation);
  require_what_is_seen(evaluation);
  if (!divides()) return run(evaluation, nullptr);
  run(has_gradients ? with_divided_cotangents(evaluation, times) : evaluation, nullptr);
  for (std::size_t i = 0; i < views_.size(); ++i) {
    // Derivatives are divided like the outputs; a pullback alone divides the image's cotangent instead of the output's.
    const graph::Binding& binding = graph_.bindings[i];
    const bool is_output = binding.name == DPM_BINDING_OUTPUT || binding.name == DPM_BINDING_HEAD;
    const bool is_divided = binding.direction == DPM_DIRECTION_OUTPUT && (is_output || !has_gradients);
    if (is_divided) divide(views_[i], elements(i), evaluation.batch, times);
  }
}

void Network::require_what_is_seen(const Evaluation& evaluation) const {
  const auto lacks = [](std::uint64_t elements, const dpm_view& view) {
    return elements > 0 && view.buffer == nullptr;
  };
  if (lacks(shape_.context, evaluation.context) || lacks(shape_.added, evaluation.added) ||
      lacks(shape_.guidance, evaluation.guidance)) {
    throw Error(ErrorCode::kArgument, "the network sees more than its image, which this evaluation does not give");
  }
  require(!lacks(shape_.draws, evaluation.draws), "a network with dropout is evaluated by a training run alone");
}

void Network::require_tensors_of_gradients(const Evaluation& evaluation) const {
  const bool makes_all = options_.seed == graph::Seed::kCrossEntropy;
  const bool has_cotangents =
      (evaluation.out_cotangent.buffer != nullptr || makes_all || graph::is_of_head(options_.seed)) &&
      (evaluation.head_cotangent.buffer != nullptr || shape_.head == 0);
  if (!has_cotangents || evaluation.gradients.buffer == nullptr) {
    throw Error(ErrorCode::kArgument, "gradients of weights take a tensor, and cotangents of all outputs");
  }
  if (makes_all) require(evaluation.labels.buffer != nullptr, "a cross entropy takes a label for each sample");
  if (!graph::is_square(options_.seed)) return;
  require(evaluation.target.buffer != nullptr && evaluation.loss_weight.buffer != nullptr,
          "a square loss takes a target, and a weight for each sample");
}

Evaluation Network::with_divided_cotangents(const Evaluation& evaluation, const float* times) {
  Evaluation result = evaluation;
  result.out_cotangent = divided(evaluation.out_cotangent, divided_cotangent_, shape_.out, evaluation.batch, times);
  if (shape_.head > 0) {
    result.head_cotangent =
        divided(evaluation.head_cotangent, divided_head_cotangent_, shape_.head, evaluation.batch, times);
  }
  return result;
}

dpm_view Network::divided(const dpm_view& cotangent, std::shared_ptr<Buffer>& to, std::uint64_t elements,
                          std::uint32_t batch, const float* times) {
  const std::uint64_t bytes = batch * elements * sizeof(float);
  if (!to || to->bytes() < bytes) to = device_->allocate(bytes);
  set_divisions(batch, times);
  for (dpm_record& record : division_records_) record.input_scale = record.x_x;
  device_->gather({batch, elements, division_samples_.data(), cotangent, cotangent, to->view(elements)});
  return to->view(elements);
}

std::uint64_t Network::elements(std::size_t index) const {
  return graph_.values[static_cast<std::size_t>(graph_.bindings[index].value)].elements();
}

float Network::divisor(float time) const {
  if (options_.divides_by_time) return time;
  const auto last = static_cast<float>(options_.divisors.size() - 1);
  // A NaN counts as 0.
  return options_.divisors[static_cast<std::size_t>(time > 0 ? std::min(time, last) : 0.0F)];
}

void Network::set_divisions(std::uint32_t batch, const float* times) {
  division_records_.assign(batch, dpm_record{});
  division_samples_.assign(batch, dpm_update_sample{});
  for (std::uint32_t n = 0; n < batch; ++n) {
    division_records_[n].flags = DPM_RECORD_WRITE_X;
    division_records_[n].x_x = 1.0F / divisor(times[n]);
    division_samples_[n].record = &division_records_[n];
    division_samples_[n].row = n;
    division_samples_[n].network_row = n;
  }
}

void Network::divide(const dpm_view& output, std::uint64_t elements, std::uint32_t batch, const float* times) {
  set_divisions(batch, times);
  dpm_update request{};
  request.batch = batch;
  request.elements = elements;
  request.samples = division_samples_.data();
  request.x = output;
  device_->update(request);
}

bool Network::pads() const { return device_->api().network.padded != nullptr; }

std::uint32_t Network::padded(std::uint32_t rows) const {
  return pads() && executable_ != nullptr ? device_->api().network.padded(executable_, rows) : rows;
}

/// A device's own trajectory cannot divide outputs: it updates with the network's outputs as they are.
bool Network::runs_trajectories() const {
  return device_->api().network.begin != nullptr && !divides() && !sees_more();
}

void Network::begin(const dpm_trajectory& trajectory) {
  dpm_update update = trajectory.update;
  for (std::uint32_t step = 0; step < trajectory.steps; ++step, update.samples += update.batch) check_update(update);
  dpm_message message{};
  check(device_->api().network.begin(executable_, &trajectory, &message), message);
}

void Network::advance(std::uint32_t steps, bool wait) {
  dpm_message message{};
  check(device_->api().network.advance(executable_, steps, wait ? 1 : 0, &message), message);
}

bool Network::takes_steps() const {
  const dpm_backend& api = device_->api();
  return api.network.step != nullptr && api.transfers.begin != nullptr && !divides() && !sees_more();
}

double Network::step(const dpm_step& step) {
  check_step(step, static_cast<std::uint32_t>(reserved_));
  double seconds = 0;
  dpm_message message{};
  check(device_->api().network.step(executable_, &step, &seconds, &message), message);
  return seconds;
}

double Network::settle(const void* owner) {
  double seconds = 0;
  // No step can be queued once the executable is gone.
  if (executable_ == nullptr) return seconds;
  dpm_message message{};
  check(device_->api().network.settle(executable_, owner, &seconds, &message), message);
  return seconds;
}

}  // namespace dpm
