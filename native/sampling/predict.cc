#include "sampling/predict.h"

#include <algorithm>

#include "core/error.h"
#include "sampling/step.h"

namespace dpm {
namespace {

/// Records that only evaluate, at one time each.
std::vector<dpm_record> evaluations(const std::vector<float>& times) {
  std::vector<dpm_record> records(times.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].flags = DPM_RECORD_EVALUATE;
    records[i].time = times[i];
    records[i].input_scale = 1;
  }
  return records;
}

std::vector<StepSample> samples_of(const PredictInputs& request, const std::vector<dpm_record>& records) {
  std::vector<StepSample> samples(records.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    samples[i].row = static_cast<std::uint32_t>(i);
    samples[i].record = &records[i];
    samples[i].label = request.labels[i];
    samples[i].unconditional_label = request.unconditional_label;
    if (!request.guidance.empty()) samples[i].guidance = request.guidance[i];
    samples[i].keeps = true;
  }
  return samples;
}

/// Copies the first `elements` of every row of `from`.
void copy_rows(Device& device, std::uint32_t rows, std::uint64_t elements, const dpm_view& from, const dpm_view& to) {
  dpm_record unscaled{};
  unscaled.input_scale = 1;
  std::vector<dpm_update_sample> samples(rows);
  for (std::uint32_t row = 0; row < rows; ++row) {
    samples[row].record = &unscaled;
    samples[row].row = row;
    samples[row].network_row = row;
  }
  device.gather({rows, elements, samples.data(), from, {}, to});
}

}  // namespace

void predict(Network& network, const PredictInputs& request) {
  const NetworkShape& shape = network.shape();
  Device& device = network.device();
  const auto rows = static_cast<std::uint32_t>(request.times.size());
  const bool splits = shape.out != shape.image;
  require(request.head == nullptr || shape.head > 0 || shape.out >= 2 * shape.image, "there is no second output");
  const auto guided = static_cast<std::uint32_t>(
      std::count_if(request.guidance.begin(), request.guidance.end(), [](float weight) { return is_guided(weight); }));
  const auto rows_of = [&](std::uint64_t elements) { return device.allocate(rows * elements * sizeof(float)); };
  const auto out = splits ? rows_of(shape.out) : request.out;
  // The network computes its head even if it is not asked for.
  const auto head = shape.head == 0 ? nullptr : request.head ? request.head : rows_of(shape.head);
  dpm_update registers{};
  registers.x = request.x->view(shape.image);
  registers.out = out->view(shape.out);
  if (head) registers.head = head->view(shape.head);
  NetworkEvaluator evaluator(network);
  evaluator.reserve(rows + guided);
  Step step(evaluator, rows, rows + guided);
  const auto records = evaluations(request.times);
  step.evaluate(samples_of(request, records), registers);
  step.settle(registers);
  if (!splits) return;
  copy_rows(device, rows, shape.image, registers.out, request.out->view(shape.image));
  if (shape.head == 0 && request.head) {
    copy_rows(device, rows, shape.image, out->view(shape.out, shape.image), request.head->view(shape.image));
  }
}

}  // namespace dpm
