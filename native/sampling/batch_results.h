// What becomes of the states of samples: kept, shown, given.
#pragma once

#include <cstdint>
#include <memory>

#include "sampling/batch_request.h"
#include "sampling/registers.h"

namespace dpm {

/// States of samples of a request that lie in a row there and in the registers.
struct SampleStates {
  std::uint32_t sample = 0;   ///< the first in its request
  std::uint32_t row = 0;      ///< its row of the registers
  std::uint32_t count = 1;    ///< how many there are
  std::uint32_t records = 0;  ///< that each has behind it
};

/// Where states are found: in the registers, or where they have been brought to: their rows may be others' by now.
struct StateSource {
  const Registers& registers;
  std::uint64_t image = 0;  ///< elements
  const Transfer* brought = nullptr;
};

/// Whether something that is wanted after every so many records is due after `records`; 0: never.
inline bool is_due(std::uint32_t every, std::uint32_t records) {
  return every > 0 && records > 0 && records % every == 0;
}

/// Whether the states after so many records are kept or shown, or given as they are the last ones.
bool is_wanted(const BatchRequest& request, std::uint32_t records, bool is_last);
/// After a record: keeps and shows the states where that is wanted.
void keep_and_show(const SampleStates& states, const StateSource& source, const BatchRequest& request,
                   RunResult& result);
/// After the last record: the states are the samples' results, and those of all later snapshots.
void give(const SampleStates& states, const StateSource& source, const BatchRequest& request, RunResult& result);

}  // namespace dpm
