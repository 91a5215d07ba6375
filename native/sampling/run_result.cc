#include "sampling/run_result.h"

#include <algorithm>

namespace dpm {

RunResult empty_result(const RunRequest& request, std::uint64_t image) {
  const std::uint64_t elements = request.samples.size() * image;
  RunResult result;
  result.images = {elements, request.levels};
  if (request.snapshot_every == 0) return result;
  std::uint32_t longest = 0;
  for (const SampleIdentity& sample : request.samples) {
    longest = std::max(longest, request.programs[sample.program].count);
  }
  for (std::uint64_t record = request.snapshot_every; record <= longest; record += request.snapshot_every) {
    result.snapshots.push_back({static_cast<std::uint32_t>(record), {elements, request.levels}});
  }
  return result;
}

std::uint64_t total_records(const RunRequest& request) {
  std::uint64_t total = 0;
  for (const SampleIdentity& sample : request.samples) total += request.programs[sample.program].count;
  return total;
}

}  // namespace dpm
