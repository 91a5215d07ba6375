#include "evaluate_derivative.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "random_values.h"

namespace dpm::test {
namespace {

using Tensors = std::map<std::string, std::shared_ptr<Buffer>>;

std::vector<float> downloaded(const Tensors& tensors, const std::vector<const char*>& names) {
  std::vector<float> result;
  for (const char* name : names) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) continue;
    std::vector<float> values(found->second->bytes() / sizeof(float));
    found->second->download(0, values.data(), found->second->bytes());
    result.insert(result.end(), values.begin(), values.end());
  }
  return result;
}

/// Returns the tensor's own normals, which do not depend on other tensors.
std::vector<float> normals_for(const std::string& name, std::size_t count) {
  std::uint32_t seed = 7;
  for (const char c : name) seed = seed * 31 + static_cast<unsigned char>(c);
  return RandomValues(seed).normals(count);
}

/// Tensors with random numbers for every binding of a network but its gradients.
struct Inputs {
  Tensors tensors;
  std::vector<float> times;
  Evaluation evaluation;
};

Inputs inputs_of(Network& network, int batch, float step) {
  network.reserve(batch);
  const auto count = static_cast<std::size_t>(batch);
  Tensors tensors;
  std::vector<float> times;
  std::vector<std::int32_t> labels;
  for (int n = 0; n < batch; ++n) {
    times.push_back(1 + 100.0F * static_cast<float>(n));
    labels.push_back(n % 3);
  }
  for (const graph::Binding& binding : network.graph().bindings) {
    if (network.graph().values[static_cast<std::size_t>(binding.value)].is_shared()) continue;
    const std::size_t elements = count * network.graph().values[static_cast<std::size_t>(binding.value)].elements();
    auto buffer = network.device().allocate(elements * sizeof(float));
    std::vector<float> values = normals_for(binding.name, elements);
    if (binding.name == DPM_BINDING_IMAGE) {
      const std::vector<float> direction = normals_for(DPM_BINDING_IMAGE_TANGENT, elements);
      for (std::size_t i = 0; i < elements; ++i) values[i] += step * direction[i];
    }
    const bool is_label = binding.name == DPM_BINDING_LABEL;
    const void* data = is_label ? static_cast<const void*>(labels.data()) : values.data();
    buffer->upload(0, binding.name == DPM_BINDING_TIME ? times.data() : data, elements * sizeof(float));
    tensors.emplace(binding.name, std::move(buffer));
  }
  const auto view = [&](const char* name) {
    const auto found = tensors.find(name);
    return found == tensors.end() ? dpm_view{} : found->second->view(found->second->bytes() / sizeof(float) / count);
  };
  Evaluation evaluation;
  evaluation.batch = static_cast<std::uint32_t>(batch);
  evaluation.image = view(DPM_BINDING_IMAGE);
  evaluation.time = view(DPM_BINDING_TIME);
  evaluation.labels = view(DPM_BINDING_LABEL);
  evaluation.out = view(DPM_BINDING_OUTPUT);
  evaluation.head = view(DPM_BINDING_HEAD);
  evaluation.out_cotangent = view(DPM_BINDING_OUTPUT_COTANGENT);
  evaluation.head_cotangent = view(DPM_BINDING_HEAD_COTANGENT);
  evaluation.image_cotangent = view(DPM_BINDING_IMAGE_COTANGENT);
  evaluation.image_tangent = view(DPM_BINDING_IMAGE_TANGENT);
  evaluation.out_tangent = view(DPM_BINDING_OUTPUT_TANGENT);
  evaluation.head_tangent = view(DPM_BINDING_HEAD_TANGENT);
  evaluation.target = view(DPM_BINDING_TARGET);
  evaluation.loss_weight = view(DPM_BINDING_LOSS_WEIGHT);
  return {std::move(tensors), std::move(times), evaluation};
}

}  // namespace

DerivativeResult derive_twice(Network& network, int batch, float step) {
  const auto [tensors, times, evaluation] = inputs_of(network, batch, step);
  network.evaluate(evaluation, times.data());
  network.evaluate(evaluation, times.data());
  const bool is_pullback = network.derivative() == Derivative::kPullback;
  DerivativeResult result;
  result.outputs = downloaded(tensors, {DPM_BINDING_OUTPUT, DPM_BINDING_HEAD});
  if (is_pullback) {
    result.given = downloaded(tensors, {DPM_BINDING_OUTPUT_COTANGENT, DPM_BINDING_HEAD_COTANGENT});
    result.derived = downloaded(tensors, {DPM_BINDING_IMAGE_COTANGENT});
  } else {
    result.given = downloaded(tensors, {DPM_BINDING_IMAGE_TANGENT});
    result.derived = downloaded(tensors, {DPM_BINDING_OUTPUT_TANGENT, DPM_BINDING_HEAD_TANGENT});
  }
  return result;
}

GradientsResult gradients_of(Network& network, int batch, int times) {
  Inputs inputs = inputs_of(network, batch, 0);
  const GradientPlaces& places = network.gradients();
  const auto all = network.device().allocate(places.elements() * sizeof(float));
  all->clear(0, all->bytes());
  inputs.evaluation.gradients = all->view(0);
  for (int i = 0; i < times; ++i) network.evaluate(inputs.evaluation, inputs.times.data());
  std::vector<float> values(places.elements());
  all->download(0, values.data(), all->bytes());
  GradientsResult result;
  result.outputs = downloaded(inputs.tensors, {DPM_BINDING_OUTPUT, DPM_BINDING_HEAD});
  result.cotangents = downloaded(inputs.tensors, {DPM_BINDING_OUTPUT_COTANGENT, DPM_BINDING_HEAD_COTANGENT});
  result.targets = downloaded(inputs.tensors, {DPM_BINDING_TARGET});
  result.loss_weights = downloaded(inputs.tensors, {DPM_BINDING_LOSS_WEIGHT});
  result.of_image = downloaded(inputs.tensors, {DPM_BINDING_IMAGE_COTANGENT});
  for (const GradientPlace& place : places.all()) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(place.offset);
    result.of_constants[place.constant].assign(first, first + static_cast<std::ptrdiff_t>(place.elements));
  }
  return result;
}

double product(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

}  // namespace dpm::test
