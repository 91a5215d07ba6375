#include "sampling/script_run.h"

#include <string>
#include <utility>

#include "core/error.h"
#include "sampling/request_check.h"

namespace dpm {
namespace {

RunRequest checked(RunRequest request, const NetworkShape& shape) {
  check_request(request, shape);
  require(request.guides.empty(), "gradients of such a run are part of its answers");
  return request;
}

}  // namespace

ScriptRun::ScriptRun(std::shared_ptr<Device> device, const NetworkShape& shape, RunRequest request)
    : evaluator_(std::move(device), shape),
      request_(checked(std::move(request), shape)),
      flight_(evaluator_, request_, 0, static_cast<std::uint32_t>(request_.samples.size())) {}

bool ScriptRun::ask() {
  require(!begun_, "the last question has not been answered");
  states_.clear();
  times_.clear();
  if (flight_.begin_step() == 0) return false;
  begun_ = true;
  if (flight_.waits()) {
    states_ = evaluator_.states();
    times_ = evaluator_.times();
  }
  return true;
}

void ScriptRun::answer(const std::vector<float>& out, const std::vector<float>& head, const std::vector<float>& guide) {
  require(begun_, "nothing was asked");
  if (flight_.waits()) evaluator_.answer(out, head, guide);
  begun_ = false;
  flight_.end_step(true);
}

std::vector<float> ScriptRun::states_now() const {
  RunImages images(request_.samples.size() * evaluator_.shape().image, false);
  flight_.download(images, 0);
  return std::move(images.floats);
}

void ScriptRun::replace(const std::vector<float>& states) {
  require(!begun_, "states are replaced between two records");
  const std::size_t elements = request_.samples.size() * evaluator_.shape().image;
  if (states.size() != elements) {
    throw Error(ErrorCode::kTensorShape,
                std::to_string(states.size()) + " elements of states, there have to be " + std::to_string(elements));
  }
  flight_.replace(states.data());
}

}  // namespace dpm
