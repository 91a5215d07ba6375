#include "sampling/evaluator.h"

#include "backend/guard.h"
#include "core/error.h"

namespace dpm {
namespace {

template <typename T>
void download(const Device& device, const dpm_view& view, std::vector<T>& values) {
  dpm_message message{};
  check(device.api().state.download(device.get(), view.buffer, view.offset * sizeof(T), values.data(),
                                    values.size() * sizeof(T), &message),
        message);
}

void upload(const Device& device, const dpm_view& view, const std::vector<float>& values) {
  dpm_message message{};
  check(device.api().state.upload(device.get(), view.buffer, view.offset * sizeof(float), values.data(),
                                  values.size() * sizeof(float), &message),
        message);
}

}  // namespace

bool ScriptEvaluator::evaluate(const Evaluation& evaluation, const float* times) {
  evaluation_ = evaluation;
  times_.assign(times, times + evaluation.batch);
  states_.resize(evaluation.batch * shape_.image);
  download(*device_, evaluation.image, states_);
  labels_.resize(shape_.classes > 0 ? evaluation.batch : 0);
  if (!labels_.empty()) download(*device_, evaluation.labels, labels_);
  waits_ = true;
  return false;
}

void ScriptEvaluator::answer(const std::vector<float>& out, const std::vector<float>& head,
                             const std::vector<float>& guide) {
  require(waits_, "no prediction is waited for");
  if (out.size() != evaluation_.batch * shape_.out || head.size() != evaluation_.batch * shape_.head) {
    throw Error(ErrorCode::kTensorShape, "a prediction does not have the elements of its states");
  }
  if (!guide.empty() && guide.size() != evaluation_.batch * shape_.image) {
    throw Error(ErrorCode::kTensorShape, "a guide does not have the elements of its states");
  }
  const std::uint64_t bytes = guide.size() * sizeof(float);
  if (bytes == 0) {
    guide_.reset();
  } else {
    if (!guide_ || guide_->bytes() < bytes) guide_ = device_->allocate(bytes);
    guide_->upload(0, guide.data(), bytes);
  }
  upload(*device_, evaluation_.out, out);
  if (shape_.head > 0) upload(*device_, evaluation_.head, head);
  waits_ = false;
}

}  // namespace dpm
