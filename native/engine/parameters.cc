#include "engine/parameters.h"

#include <algorithm>
#include <cmath>

#include "backend/constant.h"
#include "core/error.h"
#include "graph/lowered.h"

namespace dpm {
namespace {

/// Number of elements whose squares are summed one after the other.
constexpr std::uint64_t kChunk = std::uint64_t{1} << 16;

void require_training(const Device& device) {
  const dpm_backend& api = device.api();
  if (api.network.repack != nullptr && api.state.optimize != nullptr) return;
  throw Error(ErrorCode::kUnsupported, "the " + device.name() + " device does not train");
}

std::shared_ptr<Buffer> zeros(Device& device, std::uint64_t elements) {
  auto buffer = device.allocate(elements * sizeof(float));
  buffer->clear(0, buffer->bytes());
  return buffer;
}

}  // namespace

Parameters::Parameters(const std::shared_ptr<Device>& device, const graph::Graph& graph,
                       const std::vector<int>& learned)
    : device_(device), places_(graph, learned) {
  require(!learned.empty(), "a network without weights learns nothing");
  require_training(*device);
  for (std::shared_ptr<Buffer>* buffer : {&parameters_, &gradients_, &first_moments_, &second_moments_, &average_}) {
    *buffer = zeros(*device, elements());
  }
  for (const GradientPlace& place : places_.all()) {
    identities_.push_back(graph::new_identity());
    const dpm_constant constant = graph::lower(graph.constants[static_cast<std::size_t>(place.constant)]);
    const ConstantElements values(constant);
    for (const auto& buffer : {parameters_, average_}) {
      buffer->upload(place.offset * sizeof(float), values.floats(), values.size() * sizeof(float));
    }
  }
}

void Parameters::claim(graph::Graph& graph) const {
  for (std::size_t i = 0; i < identities_.size(); ++i) {
    const GradientPlace& place = places_.all()[i];
    graph::Constant& constant = graph.constants[static_cast<std::size_t>(place.constant)];
    constant.parameter = {place.offset, DPM_PARAMETER_PLAIN};
    constant.identity = identities_[i];
  }
}

void Parameters::pack(Network& network) const { network.repack({parameters_->view(0), version_}); }

void Parameters::step(const AdamOptions& options, const AdamStep& step) {
  const auto number = static_cast<double>(step.step);
  dpm_optimize request{};
  request.elements = elements();
  request.parameters = parameters_->view(0);
  request.gradients = gradients_->view(0);
  request.first_moments = first_moments_->view(0);
  request.second_moments = second_moments_->view(0);
  request.average = average_->view(0);
  request.gradient_scale = static_cast<float>(step.gradient_scale);
  request.kept = static_cast<float>(1 - step.rate * options.decay);
  request.first_rate = static_cast<float>(1 - options.beta1);
  request.second_kept = static_cast<float>(options.beta2);
  request.second_rate = static_cast<float>(1 - options.beta2);
  request.step = static_cast<float>(step.rate / (1 - std::pow(options.beta1, number)));
  request.root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(options.beta2, number)));
  request.epsilon = static_cast<float>(options.epsilon);
  request.average_rate = static_cast<float>(1 - step.average_decay);
  device_->optimize(request);
  ++version_;
}

void Parameters::clear_gradients() { gradients_->clear(0, gradients_->bytes()); }

double Parameters::gradient_norm() const {
  const auto chunks = static_cast<std::uint32_t>(elements() / kChunk);
  const std::uint64_t rest = elements() % kChunk;
  std::vector<double> sums(chunks + 1, 0.0);
  const auto sum_squares = [&](std::uint32_t batch, std::uint64_t length, std::uint32_t first) {
    dpm_reduce request{};
    request.kind = DPM_REDUCE_SUM_SQUARES;
    request.batch = batch;
    request.elements = length;
    request.a = gradients_->view(length, first * kChunk);
    request.result = sums.data() + first;
    device_->reduce(request);
  };
  if (chunks > 0) sum_squares(chunks, kChunk, 0);
  if (rest > 0) sum_squares(1, rest, chunks);
  double sum = 0;
  for (const double part : sums) sum += part;
  return std::sqrt(sum);
}

const std::shared_ptr<Buffer>& Parameters::tensor(ParameterTensor which) const {
  switch (which) {
    case ParameterTensor::kFirstMoments:
      return first_moments_;
    case ParameterTensor::kSecondMoments:
      return second_moments_;
    case ParameterTensor::kAverage:
      return average_;
    default:
      return parameters_;
  }
}

void Parameters::read(ParameterTensor which, float* to) const {
  tensor(which)->download(0, to, elements() * sizeof(float));
}

void Parameters::write(ParameterTensor which, const float* from) {
  tensor(which)->upload(0, from, elements() * sizeof(float));
  if (which == ParameterTensor::kParameters) ++version_;
}

}  // namespace dpm
