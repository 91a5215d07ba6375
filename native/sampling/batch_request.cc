#include "sampling/batch_request.h"

#include <algorithm>
#include <cmath>

#include "sampling/request_check.h"
#include "sampling/step.h"

namespace dpm {

void check_batch_request(const BatchRequest& request, const NetworkShape& shape, std::uint32_t rows) {
  const RunRequest& run = request.run;
  check_request(run, shape);
  require(run.guides.empty(), "guides are those of a whole batch");
  require(request.keys.size() == run.samples.size(), "there is one key for every sample");
  require(std::none_of(request.keys.begin(), request.keys.end(), [](double key) { return std::isnan(key); }),
          "a key is not a number");
  require(request.data_predictions.empty() || request.data_predictions.size() == 2 * run.records.size(),
          "there are two coefficients of the data prediction for every record");
  require(!run.has_guided_samples() || rows >= 2, "a guided sample takes two rows, a step of this batch has one");
}

}  // namespace dpm
