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
  question_.times.assign(times, times + evaluation.batch);
  question_.states.resize(evaluation.batch * shape_.image);
  download(*device_, evaluation.image, question_.states);
  question_.labels.resize(shape_.classes > 0 ? evaluation.batch : 0);
  if (!question_.labels.empty()) download(*device_, evaluation.labels, question_.labels);
  return false;
}

void ScriptEvaluator::answer(const std::vector<float>& values, const std::vector<float>& head) {
  if (values.size() != evaluation_.batch * shape_.out || head.size() != evaluation_.batch * shape_.head) {
    throw Error(ErrorCode::kTensorShape, "a prediction does not have the elements of its states");
  }
  upload(*device_, evaluation_.out, values);
  if (shape_.head > 0) upload(*device_, evaluation_.head, head);
}

bool ScriptGuidedEvaluator::guide(const Evaluation& evaluation, const float* times,
                                  const std::vector<std::uint32_t>& samples) {
  question_.asked = Asked::kGuide;
  question_.times.assign(times, times + samples.size());
  question_.states.resize(samples.size() * shape().image);
  question_.sample = samples.front();
  download(device(), evaluation.image, question_.states);
  return false;
}

void ScriptGuidedEvaluator::answer(const std::vector<float>& values, const std::vector<float>& /*head*/) {
  if (values.size() != question_.states.size()) {
    throw Error(ErrorCode::kTensorShape, "a guide does not have the elements of its states");
  }
  const std::uint64_t bytes = values.size() * sizeof(float);
  if (!guide_ || guide_->bytes() < bytes) guide_ = device().allocate(bytes);
  guide_->upload(0, values.data(), bytes);
}

}  // namespace dpm
