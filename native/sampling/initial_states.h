// Initial states of samples that are given none: noise of their programs' initial scale.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "engine/device.h"
#include "sampling/request.h"

namespace dpm {

/// Initial states that are to be drawn.
class InitialStates {
 public:
  /// Makes room for `rows` states at a time, so that `add` allocates nothing.
  explicit InitialStates(std::uint32_t rows);

  /// Adds the state of sample `sample` of a request, to be drawn in row `row` of the registers.
  void add(std::uint32_t row, const RunRequest& request, std::uint32_t sample);
  /// Draws the added states into the rows of `registers.x`, and forgets them.
  void draw(Device& device, const dpm_update& registers);

 private:
  std::vector<dpm_record> records_;
  std::vector<dpm_update_sample> samples_;
};

}  // namespace dpm
