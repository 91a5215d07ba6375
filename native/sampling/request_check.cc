// Checks that memory safety needs; friendly messages are up to the caller.
#include "sampling/request_check.h"

#include <cmath>

#include "core/error.h"
#include "engine/update_check.h"

namespace dpm {
namespace {

void check_in_program(const dpm_record& record, const Program& program, const NetworkShape& shape) {
  check_record(record);
  require((record.flags & DPM_RECORD_STORE_HISTORY) == 0 || record.slot < program.history,
          "a record keeps a prediction beyond its program's history");
  for (std::uint32_t j = program.history; j < DPM_MAX_HISTORY; ++j) {
    require(j == record.slot || (record.x_history[j] == 0.0F && record.y_history[j] == 0.0F),
            "a record reads a prediction beyond its program's history");
  }
  const bool uses_head =
      record.variance == DPM_VARIANCE_LOG || (record.variance == DPM_VARIANCE_LINEAR && record.v1 != 0.0F);
  require(!uses_head || shape.head >= shape.image || (shape.head == 0 && shape.out >= 2 * shape.image),
          "the program needs a variance for every element, which the network does not give");
}

}  // namespace

void check_request(const RunRequest& request, const NetworkShape& shape) {
  require(!request.samples.empty(), "there are no samples");
  require(request.batch > 0 && request.batch <= 65536, "batch must be between 1 and 65536");
  require(shape.out >= shape.image, "the network has fewer output channels than input channels");
  require(request.preview_every == 0 || request.preview, "nobody takes the previews");
  for (const Program& program : request.programs) {
    require(program.first <= request.records.size() && program.count <= request.records.size() - program.first,
            "a program leaves the records");
    require(program.history <= DPM_MAX_HISTORY, "a program's history is too long");
    require(std::isfinite(program.initial_scale), "a program's initial scale is not finite");
    for (std::uint32_t i = 0; i < program.count; ++i)
      check_in_program(request.records[program.first + i], program, shape);
  }
  for (const SampleIdentity& sample : request.samples) {
    require(sample.program < request.programs.size(), "a sample names an unknown program");
    require(sample.label < 0 || sample.label < shape.classes, "a label is out of range");
    require(std::isfinite(sample.guidance), "a weight of guidance is not finite");
    require(sample.guidance == 1.0F || shape.classes > 0, "guidance needs a class-conditional network");
  }
  require(request.unconditional_label < shape.classes || request.unconditional_label < 0,
          "the unconditional label is out of range");
  const std::uint64_t state = request.samples.size() * shape.image;
  require(request.init.empty() || request.init.size() == state, "the initial state has the wrong size");
  require(request.noise.size() % state == 0, "the noise has the wrong size");
  for (std::uint32_t program = 0; program < request.programs.size() && !request.noise.empty(); ++program) {
    require(request.noisy_records(program) <= request.noise.size() / state,
            "the given noise has fewer slices than the program has noisy records");
  }
}

void check_guides(const RunRequest& request, const Network& network) {
  if (request.guides.empty()) return;
  for (const SampleIdentity& sample : request.samples) {
    require(sample.program == request.samples.front().program, "samples with guides have one program");
  }
  for (const Guide& guide : request.guides) {
    require(guide.network->derivative() == Derivative::kLabelScore, "a guide is no gradient of a classifier");
    require(&guide.network->device() == &network.device(), "a guide is on another device than the network");
    const NetworkShape& shape = guide.network->shape();
    require(shape.image == network.shape().image, "a guide takes images of another size than the network");
    require(guide.labels.size() == request.samples.size(), "a guide has one label per sample");
    require(std::isfinite(guide.scale), "the scale of a guide is not finite");
    for (const std::int32_t label : guide.labels) {
      require(label >= 0 && label < shape.classes, "a label of a guide is out of range");
    }
  }
}

}  // namespace dpm
