// The programs of a request: records that are shared and never change once it runs.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/record.h"

namespace dpm {

/// A range of the table's records.
struct Program {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t history = 0;
  float initial_scale = 1;
};

struct ProgramTable {
  std::vector<dpm_record> records;
  std::vector<Program> programs;

  [[nodiscard]] const dpm_record& record(std::uint32_t program, std::uint32_t index) const {
    return records[programs[program].first + index];
  }
  /// Returns whether the record after `index` does not evaluate and so reads the prediction of this one.
  [[nodiscard]] bool keeps_prediction(std::uint32_t program, std::uint32_t index) const;
  /// Returns whether any record reads or writes y.
  [[nodiscard]] bool uses_y(std::uint32_t program) const;
  /// Number of records that add noise, which is the number of slices where noise is given.
  [[nodiscard]] std::uint32_t noisy_records(std::uint32_t program) const;
};

inline bool evaluates(const dpm_record& record) { return (record.flags & DPM_RECORD_EVALUATE) != 0; }

inline bool adds_noise(const dpm_record& record) {
  return (record.flags & DPM_RECORD_WRITE_X) != 0 && record.variance != DPM_VARIANCE_NONE &&
         (record.flags & DPM_RECORD_NOISELESS) == 0;
}

inline bool uses_guide(const dpm_record& record) {
  return record.history_guide != 0.0F || record.x_guide != 0.0F || record.x_guide_variance != 0.0F ||
         record.y_guide != 0.0F;
}

}  // namespace dpm
