// Handling of samples' states: snapshots, previews and results.
#pragma once

#include <cstdint>
#include <memory>

#include "sampling/batch_request.h"
#include "sampling/registers.h"

namespace dpm {

/// States of neighbouring samples of a request, which are neighbours in the registers, too.
struct SampleStates {
  std::uint32_t sample = 0;   ///< index of the first sample in its request
  std::uint32_t row = 0;      ///< row of the first sample in the registers
  std::uint32_t count = 1;    ///< number of samples
  std::uint32_t records = 0;  ///< number of records that each sample has completed
};

/// Location of states: the registers, or the copy that they were brought to when other samples may have their rows by
/// now.
struct StateSource {
  const Registers& registers;
  std::uint64_t image = 0;  ///< elements of one image
  const Transfer* brought = nullptr;
};

/// Returns whether an output that is wanted after every `every` records is due after `records`; `every` 0: never.
inline bool is_due(std::uint32_t every, std::uint32_t records) {
  return every > 0 && records > 0 && records % every == 0;
}

/// Returns whether the states after `records` records are kept, shown, or given as results because they are the last.
bool is_wanted(const BatchRequest& request, std::uint32_t records, bool is_last);
/// Keeps and shows the states after a record, where that is wanted.
void keep_and_show(const SampleStates& states, const StateSource& source, const BatchRequest& request,
                   RunResult& result);
/// Takes the states after the last record as the samples' results and as all their later snapshots.
void give(const SampleStates& states, const StateSource& source, const BatchRequest& request, RunResult& result);

}  // namespace dpm
