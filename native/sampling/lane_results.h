// What becomes of a sample's states in a lane: kept, shown, given.
#pragma once

#include <cstdint>

#include "sampling/lane_request.h"
#include "sampling/registers.h"

namespace dpm {

/// A sample of a request and where its state is.
struct SampleState {
  const Registers& registers;
  std::uint32_t row = 0;
  std::uint64_t image = 0;    ///< elements
  std::uint32_t sample = 0;   ///< in its request
  std::uint32_t records = 0;  ///< that it has behind it
  /// It has been brought to the host: its row may be another's by now.
  const Transfer* brought = nullptr;
};

/// Whether something that is wanted after every so many records is due after `records`; 0: never.
inline bool is_due(std::uint32_t every, std::uint32_t records) { return every > 0 && records % every == 0; }

/// Whether the state after so many records of a sample is kept or shown, or given as it is the last one.
bool is_wanted(const LaneRequest& request, std::uint32_t records, bool is_last);
/// After a record: keeps and shows the state where that is wanted.
void keep_and_show(const SampleState& state, const LaneRequest& request, RunResult& result);
/// After the last record: the state is the sample's result, and that of all later snapshots.
void give(const SampleState& state, const LaneRequest& request, RunResult& result);

}  // namespace dpm
