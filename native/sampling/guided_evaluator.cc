#include "sampling/guided_evaluator.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"

namespace dpm {

void GuidedEvaluator::reserve(std::uint32_t rows) {
  NetworkEvaluator::reserve(rows);
  std::uint64_t logits = 0;
  for (const Guide& guide : guides_) {
    guide.network->reserve(static_cast<int>(rows));
    logits = std::max(logits, guide.network->shape().out);
  }
  if (rows <= reserved_) return;
  const auto allocated = [&](std::uint64_t elements) { return device().allocate(rows * elements * sizeof(float)); };
  labels_ = allocated(1);
  logits_ = allocated(logits);
  sum_ = allocated(shape().image);
  if (guides_.size() > 1) addend_ = allocated(shape().image);
  reserved_ = rows;
}

bool GuidedEvaluator::guide(const Evaluation& evaluation, const float* times,
                            const std::vector<std::uint32_t>& samples) {
  rows_ = static_cast<std::uint32_t>(samples.size());
  for (std::size_t i = 0; i < guides_.size(); ++i) {
    const Guide& own = guides_[i];
    const bool is_first = i == 0;
    const dpm_view destination = (is_first ? sum_ : addend_)->view(shape().image);
    evaluate_guide(own, evaluation, times, samples, destination);
    if (is_first) {
      combine(own.scale, 0, {});
    } else {
      combine(1, own.scale, destination);
    }
    require_finite(i, times);
  }
  return true;
}

void GuidedEvaluator::evaluate_guide(const Guide& guide, const Evaluation& evaluation, const float* times,
                                     const std::vector<std::uint32_t>& samples, const dpm_view& destination) {
  own_labels_.clear();
  for (const std::uint32_t sample : samples) own_labels_.push_back(guide.labels[sample]);
  labels_->upload(0, own_labels_.data(), own_labels_.size() * sizeof(std::int32_t));
  Evaluation gradient;
  gradient.batch = rows_;
  gradient.image = evaluation.image;
  gradient.time = evaluation.time;
  gradient.labels = labels_->view(1);
  gradient.out = logits_->view(guide.network->shape().out);
  gradient.image_cotangent = destination;
  guide.network->evaluate(gradient, times);
}

void GuidedEvaluator::require_finite(std::size_t guide, const float* times) {
  sizes_.assign(rows_, 0.0);
  dpm_reduce request{};
  request.kind = DPM_REDUCE_SUM_SQUARES;
  request.batch = rows_;
  request.elements = shape().image;
  request.a = sum_->view(shape().image);
  request.result = sizes_.data();
  device().reduce(request);
  const auto wrong = std::find_if(sizes_.begin(), sizes_.end(), [](double size) { return !std::isfinite(size); });
  if (wrong == sizes_.end()) return;
  throw Error(ErrorCode::kArgument, "the gradient of guide " + std::to_string(guide) + " is not finite at time " +
                                        std::to_string(times[wrong - sizes_.begin()]));
}

void GuidedEvaluator::combine(float kept, float scale, const dpm_view& addend) {
  dpm_record record{};
  record.flags = DPM_RECORD_WRITE_X;
  record.x_x = kept;
  record.x_y = scale;
  moves_.assign(rows_, dpm_update_sample{});
  for (std::uint32_t row = 0; row < rows_; ++row) {
    moves_[row].record = &record;
    moves_[row].row = row;
    moves_[row].network_row = row;
  }
  dpm_update request{};
  request.batch = rows_;
  request.elements = shape().image;
  request.samples = moves_.data();
  request.x = sum_->view(shape().image);
  request.y = addend;
  device().update(request);
}

}  // namespace dpm
