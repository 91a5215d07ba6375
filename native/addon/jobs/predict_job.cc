#include "addon/jobs/predict_job.h"

#include <cmath>
#include <utility>

#include "addon/convert/typed_arrays.h"
#include "addon/wraps/tensor_wrap.h"

namespace dpm::addon {
namespace {

bool is_absent(const Napi::Value& value) { return value.IsNull() || value.IsUndefined(); }

}  // namespace

PredictJob::PredictJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Network> network)
    : PromiseJob(info.Env(), owner), network_(std::move(network)) {
  request_.times = to_floats(info[1], "t");
  require(!request_.times.empty() && request_.times.size() <= 65536, "t must have between 1 and 65536 elements");
  request_.x = tensor(info[0], "x");
  read_labels(info[2]);
  request_.guidance = to_floats(info[3], "guidance");
  require(request_.guidance.empty() || request_.guidance.size() == request_.times.size(),
          "guidance must have one element per sample");
  for (const float weight : request_.guidance) require(std::isfinite(weight), "a weight of guidance is not finite");
  const int classes = network_->shape().classes;
  require(request_.guidance.empty() || classes > 0, "guidance needs a class-conditional network");
  request_.unconditional_label = info[4].ToNumber().Int32Value();
  require(request_.unconditional_label < classes || request_.unconditional_label < 0,
          "the unconditional label is out of range");
  request_.out = tensor(info[5], "out");
  if (!is_absent(info[6])) request_.head = tensor(info[6], "head");
}

std::shared_ptr<Buffer> PredictJob::tensor(const Napi::Value& value, const char* what) const {
  auto buffer = TensorWrap::buffer_of(value, what, network_->device());
  require(buffer->bytes() >= request_.times.size() * network_->shape().image * sizeof(float),
          "a tensor is smaller than batch x C x H x W");
  return buffer;
}

void PredictJob::read_labels(const Napi::Value& labels) {
  request_.labels.assign(request_.times.size(), -1);
  if (is_absent(labels)) return;
  const auto given = int32_elements(labels, "labels");
  require(given.size == request_.times.size(), "labels must have one element per sample");
  request_.labels.assign(given.data, given.data + given.size);
  for (const std::int32_t label : request_.labels) {
    require(label < network_->shape().classes, "a label is out of range");
  }
}

}  // namespace dpm::addon
