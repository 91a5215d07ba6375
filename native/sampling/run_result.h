// The result of a run.
#pragma once

#include <cstdint>
#include <vector>

#include "sampling/request.h"

namespace dpm {

struct Snapshot {
  std::uint32_t record = 0;
  RunImages images;
};

struct RunResult {
  RunImages images;
  std::vector<Snapshot> snapshots;
};

/// Allocates the results of a request whose samples have `image` elements.
RunResult empty_result(const RunRequest& request, std::uint64_t image);
/// Number of records of all samples.
std::uint64_t total_records(const RunRequest& request);

}  // namespace dpm
