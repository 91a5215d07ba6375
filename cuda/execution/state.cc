#include "cuda/execution/state.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "cuda/execution/update_arguments.h"
#include "cuda/kernels/optimize.h"
#include "cuda/kernels/state.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// Copies the samples to the GPU, for the kernels queued next.
const UpdateSample* upload_samples(Device& device, const std::vector<UpdateSample>& samples) {
  const std::size_t bytes = samples.size() * sizeof(UpdateSample);
  ensure(device, device.update_samples, bytes);
  device.staging.upload(device.stream, device.update_samples.data(), samples.data(), bytes);
  return device.update_samples.as<UpdateSample>();
}

/// Computes the levels of `elements` values; they stay on the GPU until the next call.
const std::uint8_t* levels_of(Device& device, const float* values, std::uint64_t elements) {
  ensure(device, device.levels, elements);
  convert_to_levels(values, device.levels.as<std::uint8_t>(), elements, device.stream.get());
  check_launches("converting to 8 bits");
  return device.levels.as<std::uint8_t>();
}

std::vector<UpdateSample> samples_of(const dpm_update_sample* samples, std::uint32_t batch) {
  std::vector<UpdateSample> result;
  result.reserve(batch);
  std::transform(samples, samples + batch, std::back_inserter(result), update_sample_of);
  return result;
}

}  // namespace

void gather(Device& device, const dpm_gather& request) {
  require(request.batch <= kMostGridRows, "the cuda device copies at most 65535 samples at a time");
  GatherArguments arguments{};
  arguments.batch = request.batch;
  arguments.elements = request.elements;
  arguments.samples = upload_samples(device, samples_of(request.samples, request.batch));
  arguments.x = rows_of(request.x);
  arguments.y = rows_of(request.y);
  arguments.destination = rows_of(request.destination);
  gather(arguments, device.stream.get());
  check_launches("copying rows");
}

void update(Device& device, const dpm_update& request) {
  require(request.batch <= kMostGridRows, "the cuda device updates at most 65535 samples at a time");
  const std::vector<UpdateSample> samples = samples_of(request.samples, request.batch);
  UpdateArguments arguments = arguments_of(request);
  arguments.samples = upload_samples(device, samples);
  if (std::any_of(samples.begin(), samples.end(), clips_dynamically)) {
    ensure(device, device.thresholds, request.batch * sizeof(float));
    arguments.thresholds = device.thresholds.as<float>();
    find_thresholds(arguments, device.stream.get());
  }
  update(arguments, device.stream.get());
  check_launches("updating");
}

void download_levels(Device& device, const float* values, std::uint8_t* levels, std::uint64_t elements) {
  device.staging.download(device.stream, levels_of(device, values, elements), levels, elements);
}

std::unique_ptr<Transfer> begin_transfer(Device& device, const float* values, std::uint64_t elements, bool as_levels) {
  const std::size_t bytes = elements * (as_levels ? sizeof(std::uint8_t) : sizeof(float));
  auto transfer = device.transfers.take(bytes);
  const void* source = values;
  if (as_levels) source = levels_of(device, values, elements);
  transfer->begin(device.stream, source, bytes);
  return transfer;
}

void optimize(Device& device, const dpm_optimize& request) {
  const auto elements_of = [](const dpm_view& view) { return rows_of(view).data; };
  optimize({request, elements_of(request.parameters), elements_of(request.gradients),
            elements_of(request.first_moments), elements_of(request.second_moments), elements_of(request.average)},
           device.stream.get());
  check_launches("taking a step of the optimiser");
}

void reduce(Device& device, const dpm_reduce& request) {
  ensure(device, device.reductions, request.batch * sizeof(double));
  ReduceArguments arguments{};
  arguments.kind = static_cast<dpm_reduction>(request.kind);
  arguments.batch = request.batch;
  arguments.elements = request.elements;
  arguments.a = rows_of(request.a);
  arguments.b = rows_of(request.b);
  arguments.result = device.reductions.as<double>();
  reduce(arguments, device.stream.get());
  check_launches("summing");
  device.staging.download(device.stream, arguments.result, request.result, request.batch * sizeof(double));
}

}  // namespace dpm::cuda
