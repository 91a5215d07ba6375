#include "sampling/program_table.h"

#include <algorithm>
#include <span>

namespace dpm {
namespace {

std::span<const dpm_record> records_of(const ProgramTable& table, std::uint32_t program) {
  const Program& range = table.programs[program];
  return std::span(table.records).subspan(range.first, range.count);
}

bool touches_y(const dpm_record& record) {
  return (record.flags & (DPM_RECORD_READ_Y | DPM_RECORD_WRITE_Y)) != 0 || record.x_y != 0.0F;
}

}  // namespace

bool ProgramTable::keeps_prediction(std::uint32_t program, std::uint32_t index) const {
  return index + 1 < programs[program].count && !evaluates(record(program, index + 1));
}

bool ProgramTable::uses_y(std::uint32_t program) const {
  const auto own = records_of(*this, program);
  return std::any_of(own.begin(), own.end(), touches_y);
}

std::uint32_t ProgramTable::noisy_records(std::uint32_t program) const {
  const auto own = records_of(*this, program);
  return static_cast<std::uint32_t>(std::count_if(own.begin(), own.end(), adds_noise));
}

}  // namespace dpm
