// Checks of a run request: what memory safety needs. Friendly messages are the caller's business.
#include "sampling/request_check.h"

#include <cmath>

#include "core/error.h"

namespace dpm {
namespace {

void check_record(const dpm_record& record, const Program& program, const NetworkShape& shape) {
  require(record.slot < DPM_MAX_HISTORY, "a record's history slot is out of range");
  require((record.flags & DPM_RECORD_STORE_HISTORY) == 0 || record.slot < program.history,
          "a record keeps a prediction beyond its program's history");
  for (std::uint32_t j = program.history; j < DPM_MAX_HISTORY; ++j) {
    require(j == record.slot || (record.x_history[j] == 0.0F && record.y_history[j] == 0.0F),
            "a record reads a prediction beyond its program's history");
  }
  require(record.clip <= DPM_CLIP_DYNAMIC && record.variance <= DPM_VARIANCE_LOG, "a record has an unknown mode");
  const bool uses_head =
      record.variance == DPM_VARIANCE_LOG || (record.variance == DPM_VARIANCE_LINEAR && record.v1 != 0.0F);
  require(!uses_head || shape.head >= shape.image || (shape.head == 0 && shape.out >= 2 * shape.image),
          "the program needs a variance for every element, which the network does not give");
}

}  // namespace

void check_request(const RunRequest& request, const NetworkShape& shape) {
  require(!request.samples.empty(), "there are no samples");
  require(request.batch > 0, "the batch is empty");
  require(shape.out >= shape.image, "the network has fewer output channels than input channels");
  for (const Program& program : request.programs) {
    require(program.first <= request.records.size() && program.count <= request.records.size() - program.first,
            "a program leaves the records");
    require(program.history <= DPM_MAX_HISTORY, "a program's history is too long");
    require(std::isfinite(program.initial_scale), "a program's initial scale is not finite");
    for (std::uint32_t i = 0; i < program.count; ++i) check_record(request.records[program.first + i], program, shape);
  }
  for (const SampleIdentity& sample : request.samples) {
    require(sample.program < request.programs.size(), "a sample names an unknown program");
    require(sample.label < 0 || sample.label < shape.classes, "a label is out of range");
  }
  const std::uint64_t state = request.samples.size() * shape.image;
  require(request.init.empty() || request.init.size() == state, "the initial state has the wrong size");
  require(request.noise.size() % state == 0, "the noise has the wrong size");
}

}  // namespace dpm
