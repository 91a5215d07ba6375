#include "sampling/initial_states.h"

namespace dpm {
namespace {

/// The record's number in the random streams; programs count theirs from 0.
constexpr std::uint32_t kInitialRecord = 0xFFFFFFFFu;

}  // namespace

InitialStates::InitialStates(std::uint32_t rows) {
  records_.reserve(rows);
  samples_.reserve(rows);
}

void InitialStates::add(std::uint32_t row, const RunRequest& request, std::uint32_t sample) {
  const SampleIdentity& own = request.samples[sample];
  dpm_record& initial = records_.emplace_back();
  initial.flags = DPM_RECORD_WRITE_X;
  initial.variance = DPM_VARIANCE_SCALAR;
  initial.deviation = request.programs[own.program].initial_scale;
  samples_.push_back({&initial, row, row, 0, own.seed_low, own.seed_high, own.index, kInitialRecord, 0});
}

void InitialStates::draw(Device& device, const dpm_update& registers) {
  if (samples_.empty()) return;
  dpm_update request{};
  request.batch = static_cast<std::uint32_t>(samples_.size());
  request.elements = registers.elements;
  request.samples = samples_.data();
  request.x = registers.x;
  device.update(request);
  records_.clear();
  samples_.clear();
}

}  // namespace dpm
