#include "sampling/step.h"

#include <algorithm>

namespace dpm {

Step::Step(Evaluator& evaluator, std::uint32_t rows, std::uint32_t evaluated, std::int32_t unconditional_label)
    : evaluator_(evaluator),
      shape_(evaluator.shape()),
      rows_(rows),
      evaluated_(evaluated),
      unconditional_label_(unconditional_label) {
  time_ = allocated(1);
  if (shape_.classes > 0) label_ = allocated(1);
}

std::shared_ptr<Buffer> Step::allocated(std::uint64_t elements) {
  return evaluator_.device().allocate(evaluated_ * elements * sizeof(float));
}

bool Step::evaluate(const std::vector<Ask>& asks, const dpm_update& registers) {
  asks_ = asks;
  list_seen();
  if (seen_.empty()) return true;
  upload_times();
  in_place_ = seen_.size() == rows_ && asks_.size() == rows_;
  if (!in_place_ && !compact_out_) {
    compact_out_ = allocated(shape_.out);
    if (shape_.head > 0) compact_head_ = allocated(shape_.head);
  }
  Evaluation evaluation;
  evaluation.batch = static_cast<std::uint32_t>(seen_.size());
  evaluation.image = input(registers);
  evaluation.time = time_->view(1);
  evaluation.labels = upload_seen_labels();
  evaluation.out = in_place_ ? registers.out : compact_out_->view(shape_.out);
  if (shape_.head > 0) evaluation.head = in_place_ ? registers.head : compact_head_->view(shape_.head);
  return evaluator_.evaluate(evaluation, times_.data());
}

void Step::settle(const dpm_update& registers) {
  if (seen_.empty() || in_place_) return;
  scatter(shape_.out, compact_out_->view(shape_.out), registers.out);
  if (shape_.head > 0) scatter(shape_.head, compact_head_->view(shape_.head), registers.head);
  guide(registers);
}

dpm_view Step::upload_labels(const std::vector<Ask>& asks) {
  asks_ = asks;
  list_seen();
  return upload_seen_labels();
}

void Step::list_seen() {
  seen_.clear();
  for (std::size_t i = 0; i < asks_.size(); ++i) {
    seen_.push_back({i, asks_[i].guidance == 0.0F ? unconditional_label_ : asks_[i].label});
  }
  for (std::size_t i = 0; i < asks_.size(); ++i) {
    if (is_guided(asks_[i].guidance)) seen_.push_back({i, unconditional_label_});
  }
}

void Step::upload_times() {
  times_.clear();
  for (const Seen& seen : seen_) times_.push_back(asks_[seen.ask].time);
  time_->upload(0, times_.data(), times_.size() * sizeof(float));
}

dpm_view Step::upload_seen_labels() {
  if (!label_) return {};
  labels_.clear();
  for (const Seen& seen : seen_) labels_.push_back(seen.label);
  label_->upload(0, labels_.data(), labels_.size() * sizeof(std::int32_t));
  return label_->view(1);
}

dpm_view Step::input(const dpm_update& registers) {
  const bool reads_y = asks_.front().reads_y;
  const bool direct = in_place_ && std::all_of(asks_.begin(), asks_.end(), [&](const Ask& ask) {
                        return ask.input_scale == 1.0F && ask.reads_y == reads_y;
                      });
  if (direct) return reads_y ? registers.y : registers.x;
  if (!input_) input_ = allocated(shape_.image);
  records_.assign(seen_.size(), dpm_record{});
  samples_.assign(seen_.size(), dpm_update_sample{});
  for (std::size_t j = 0; j < seen_.size(); ++j) {
    const Ask& ask = asks_[seen_[j].ask];
    records_[j].input_scale = ask.input_scale;
    if (ask.reads_y) records_[j].flags = DPM_RECORD_READ_Y;
    dpm_update_sample& from = samples_[j];
    from.record = &records_[j];
    from.row = ask.row;
    from.network_row = static_cast<std::uint32_t>(j);
  }
  const dpm_view destination = input_->view(shape_.image);
  copy(shape_.image, registers.x, registers.y, destination);
  return destination;
}

void Step::copy(std::uint64_t elements, const dpm_view& x, const dpm_view& y, const dpm_view& destination) {
  evaluator_.device().gather(
      {static_cast<std::uint32_t>(samples_.size()), elements, samples_.data(), x, y, destination});
}

void Step::scatter(std::uint64_t elements, const dpm_view& compact, const dpm_view& destination) {
  records_.assign(1, dpm_record{});
  records_.front().input_scale = 1;
  samples_.assign(asks_.size(), dpm_update_sample{});
  for (std::size_t j = 0; j < asks_.size(); ++j) {
    dpm_update_sample& move = samples_[j];
    move.record = &records_.front();
    move.row = static_cast<std::uint32_t>(j);
    move.network_row = asks_[j].row;
  }
  copy(elements, compact, {}, destination);
}

void Step::guide(const dpm_update& registers) {
  const std::size_t guided = seen_.size() - asks_.size();
  if (guided == 0) return;
  records_.assign(guided, dpm_record{});
  samples_.assign(guided, dpm_update_sample{});
  for (std::size_t j = 0; j < guided; ++j) {
    const Ask& ask = asks_[seen_[asks_.size() + j].ask];
    dpm_record& mix = records_[j];
    mix.flags = DPM_RECORD_WRITE_X;
    mix.x_x = ask.guidance;
    mix.x_out = 1.0F - ask.guidance;
    dpm_update_sample& mixed = samples_[j];
    mixed.record = &mix;
    mixed.row = ask.row;
    mixed.network_row = static_cast<std::uint32_t>(asks_.size() + j);
  }
  // A learned range, behind the prediction's channels, and the head are the conditional evaluation's.
  dpm_update request{};
  request.batch = static_cast<std::uint32_t>(guided);
  request.elements = shape_.image;
  request.samples = samples_.data();
  request.x = registers.out;
  request.out = compact_out_->view(shape_.out);
  evaluator_.device().update(request);
}

}  // namespace dpm
