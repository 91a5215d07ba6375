#include "sampling/step.h"

#include <algorithm>

namespace dpm {
namespace {

/// The label of a sample's first row: the unconditional one where the conditional prediction has no weight.
std::int32_t first_label(const StepSample& sample) {
  return sample.guidance == 0.0F ? sample.unconditional_label : sample.label;
}

}  // namespace

StepSample step_sample(const RunRequest& request, std::uint32_t sample, std::uint32_t row, std::uint32_t index,
                       std::uint32_t noise_row) {
  const SampleIdentity& own = request.samples[sample];
  return {row,
          sample,
          &request.record(own.program, index),
          own.label,
          request.unconditional_label,
          own.guidance,
          request.keeps_prediction(own.program, index),
          !request.noise.empty(),
          noise_row,
          own.seed_low,
          own.seed_high,
          own.index,
          index};
}

dpm_update_sample update_sample(const StepSample& sample, std::uint32_t network_row) {
  return {sample.record,       sample.row,          network_row,
          sample.noise_row,    sample.seed_low,     sample.seed_high,
          sample.sample_index, sample.record_index, 0};
}

Step::Step(Evaluator& evaluator, std::uint32_t rows, std::uint32_t evaluated, std::uint32_t least)
    : evaluator_(evaluator), shape_(evaluator.shape()), rows_(rows), evaluated_(evaluated), least_(least) {
  time_ = allocated(evaluated_, 1);
  if (shape_.classes > 0) label_ = allocated(evaluated_, 1);
}

std::shared_ptr<Buffer> Step::allocated(std::uint32_t rows, std::uint64_t elements) {
  return evaluator_.device().allocate(rows * elements * sizeof(float));
}

void Step::allocate_compact(std::uint32_t rows) {
  if (compact_out_ && rows <= compact_rows_) return;
  compact_out_ = allocated(rows, shape_.out);
  if (shape_.head > 0) compact_head_ = allocated(rows, shape_.head);
  compact_rows_ = rows;
}

void Step::reserve() {
  allocate_compact(evaluated_);
  if (!input_) input_ = allocated(evaluated_, shape_.image);
  samples_.reserve(rows_);
  const std::size_t rows = std::max(rows_, evaluated_);
  seen_.reserve(rows);
  times_.reserve(rows);
  labels_.reserve(rows);
  records_.reserve(rows);
  moves_.reserve(rows);
  guided_places_.reserve(rows);
  guidance_.reserve(rows);
  kept_places_.reserve(rows);
}

bool Step::evaluate(const std::vector<StepSample>& samples, const dpm_update& registers) {
  samples_.assign(samples.begin(), samples.end());
  list_seen();
  if (seen_.empty()) return true;
  upload_times();
  in_place_ = true;
  for (std::uint32_t j = 0; j < seen_.size(); ++j) {
    in_place_ = in_place_ && seen_[j].sample == j && samples_[j].row == j;
  }
  if (!in_place_) allocate_compact(evaluated_);
  const Predictions predictions = fresh(registers);
  Evaluation evaluation;
  evaluation.batch = static_cast<std::uint32_t>(seen_.size());
  evaluation.image = input(registers);
  evaluation.time = time_->view(1);
  labels_.clear();
  for (const Seen& seen : seen_) labels_.push_back(seen.label);
  evaluation.labels = uploaded_labels();
  evaluation.out = predictions.out;
  if (shape_.head > 0) evaluation.head = predictions.head;
  const bool is_predicted = evaluator_.evaluate(evaluation, times_.data());
  const bool is_guided = !evaluator_.has_guides() || evaluate_guides(evaluation);
  return is_predicted && is_guided;
}

bool Step::evaluate_guides(const Evaluation& evaluation) {
  asking_samples_.clear();
  bool takes_guides = false;
  for (std::uint32_t j = 0; j < asked_; ++j) {
    const StepSample& sample = samples_[seen_[j].sample];
    // A record that evaluates nothing may read the gradient again.
    takes_guides = takes_guides || uses_guide(*sample.record) || sample.keeps;
    asking_samples_.push_back(sample.sample);
  }
  return !takes_guides || evaluator_.guide(evaluation, times_.data(), asking_samples_);
}

Step::Predictions Step::fresh(const dpm_update& registers) const {
  return in_place_ ? Predictions{registers.out, registers.head} : compact();
}

Step::Predictions Step::compact() const {
  const dpm_view out = compact_out_->view(shape_.out);
  return {out, second_output(shape_, out, compact_head_ ? compact_head_->view(shape_.head) : dpm_view{})};
}

void Step::settle(const dpm_update& registers) {
  if (seen_.empty() || in_place_) return;
  mix_guided();
  keep(shape_.out, compact_out_->view(shape_.out), registers.out);
  if (shape_.head > 0) keep(shape_.head, compact_head_->view(shape_.head), registers.head);
}

dpm_view Step::upload_labels(const std::vector<StepSample>& samples) {
  labels_.clear();
  for (const StepSample& sample : samples) labels_.push_back(first_label(sample));
  return uploaded_labels();
}

void Step::list_seen() {
  seen_.clear();
  for (std::uint32_t i = 0; i < samples_.size(); ++i) {
    const StepSample& sample = samples_[i];
    if (rows_of(sample) == 0) continue;
    seen_.push_back({i, first_label(sample)});
  }
  asked_ = static_cast<std::uint32_t>(seen_.size());
  for (std::uint32_t i = 0; i < samples_.size(); ++i) {
    if (rows_of(samples_[i]) == 2) seen_.push_back({i, samples_[i].unconditional_label});
  }
  guided_ = static_cast<std::uint32_t>(seen_.size()) - asked_;
  if (asked_ == 0) return;
  const Seen repeated = seen_.front();
  while (seen_.size() < least_) seen_.push_back(repeated);
}

void Step::upload_times() {
  times_.clear();
  for (const Seen& seen : seen_) times_.push_back(samples_[seen.sample].record->time);
  time_->upload(0, times_.data(), times_.size() * sizeof(float));
}

dpm_view Step::uploaded_labels() {
  if (!label_) return {};
  label_->upload(0, labels_.data(), labels_.size() * sizeof(std::int32_t));
  return label_->view(1);
}

dpm_view Step::input(const dpm_update& registers) {
  const auto reads_y = [&](const Seen& seen) { return (samples_[seen.sample].record->flags & DPM_RECORD_READ_Y) != 0; };
  const bool first_reads_y = reads_y(seen_.front());
  const bool direct = in_place_ && std::all_of(seen_.begin(), seen_.end(), [&](const Seen& seen) {
                        return samples_[seen.sample].record->input_scale == 1.0F && reads_y(seen) == first_reads_y;
                      });
  if (direct) return first_reads_y ? registers.y : registers.x;
  if (!input_) input_ = allocated(evaluated_, shape_.image);
  moves_.assign(seen_.size(), dpm_update_sample{});
  for (std::uint32_t j = 0; j < seen_.size(); ++j) {
    const StepSample& sample = samples_[seen_[j].sample];
    moves_[j].record = sample.record;
    moves_[j].row = sample.row;
    moves_[j].network_row = j;
  }
  const dpm_view destination = input_->view(shape_.image);
  evaluator_.device().gather(
      {static_cast<std::uint32_t>(moves_.size()), shape_.image, moves_.data(), registers.x, registers.y, destination});
  return destination;
}

void Step::keep(std::uint64_t elements, const dpm_view& compact, const dpm_view& destination) {
  records_.assign(1, dpm_record{});
  records_.front().input_scale = 1;
  moves_.clear();
  for (std::uint32_t j = 0; j < asked_; ++j) {
    const StepSample& sample = samples_[seen_[j].sample];
    if (!sample.keeps) continue;
    dpm_update_sample& move = moves_.emplace_back();
    move.record = &records_.front();
    move.row = j;
    move.network_row = sample.row;
  }
  if (moves_.empty()) return;
  evaluator_.device().gather(
      {static_cast<std::uint32_t>(moves_.size()), elements, moves_.data(), compact, {}, destination});
}

void Step::mix_guided() {
  if (guided_ == 0) return;
  records_.assign(guided_, dpm_record{});
  moves_.assign(guided_, dpm_update_sample{});
  // Guided samples keep their order among the evaluating samples; their unconditional rows follow behind all of these.
  std::uint32_t asking = 0;
  for (std::uint32_t j = 0; j < guided_; ++j) {
    const std::uint32_t sample = seen_[asked_ + j].sample;
    while (seen_[asking].sample != sample) ++asking;
    records_[j] = guidance_record(samples_[sample].guidance);
    dpm_update_sample& mixed = moves_[j];
    mixed.record = &records_[j];
    mixed.row = asking;
    mixed.network_row = asked_ + j;
  }
  // A learned range, behind the prediction's channels, and the head come from the conditional evaluation.
  dpm_update request{};
  request.batch = guided_;
  request.elements = shape_.image;
  request.samples = moves_.data();
  request.x = request.out = compact_out_->view(shape_.out);
  evaluator_.device().update(request);
}

void Step::update_some(bool evaluated, bool has_noise, const dpm_update& registers) {
  moves_.clear();
  std::uint32_t asking = 0;
  for (const StepSample& sample : samples_) {
    const bool asks = rows_of(sample) > 0;
    const std::uint32_t compact_row = asks ? asking++ : 0;
    if (asks != evaluated || sample.has_noise != has_noise) continue;
    moves_.push_back(update_sample(sample, asks && !in_place_ ? compact_row : sample.row));
  }
  if (moves_.empty()) return;
  dpm_update request = registers;
  if (evaluated) {
    const Predictions predictions = fresh(registers);
    request.out = predictions.out;
    request.head = predictions.head;
  }
  request.guide = evaluator_.guide();
  if (!has_noise) request.noise = {};
  request.batch = static_cast<std::uint32_t>(moves_.size());
  request.samples = moves_.data();
  evaluator_.device().update(request);
}

void Step::update(const dpm_update& registers) {
  for (const bool evaluated : {true, false}) {
    for (const bool has_noise : {false, true}) update_some(evaluated, has_noise, registers);
  }
}

bool Step::is_whole(const std::vector<StepSample>& samples) const {
  const Network* network = evaluator_.network();
  if (network == nullptr || !network->takes_steps()) return false;
  const auto has_noise = [](const StepSample& sample) { return sample.has_noise; };
  const auto asks = [](const StepSample& sample) { return rows_of(sample) > 0; };
  return std::none_of(samples.begin(), samples.end(), has_noise) && std::any_of(samples.begin(), samples.end(), asks);
}

void Step::list_whole() {
  moves_.clear();
  labels_.clear();
  guided_places_.clear();
  guidance_.clear();
  kept_places_.clear();
  for (std::uint32_t j = 0; j < asked_; ++j) {
    const StepSample& sample = samples_[seen_[j].sample];
    moves_.push_back(update_sample(sample, j));
    if (is_guided(sample.guidance)) {
      guided_places_.push_back(j);
      guidance_.push_back(sample.guidance);
    }
    if (sample.keeps) kept_places_.push_back(j);
  }
  for (std::uint32_t j = 0; j < asked_ + guided_; ++j) labels_.push_back(seen_[j].label);
}

double Step::queue(const std::vector<StepSample>& samples, const dpm_update& registers, bool is_timed) {
  samples_.assign(samples.begin(), samples.end());
  list_seen();
  // Rows that are computed as padding have outputs, too; another user may have reserved more than this step needs.
  allocate_compact(std::max(evaluated_, evaluator_.padded(std::max(asked_ + guided_, least_))));
  update_some(false, false, registers);
  list_whole();
  const Predictions predictions = compact();
  dpm_step request{};
  request.owner = is_timed ? this : nullptr;
  request.update = registers;
  request.update.batch = asked_;
  request.update.samples = moves_.data();
  request.update.out = predictions.out;
  request.update.head = predictions.head;
  request.update.noise = {};
  request.least_rows = least_;
  if (label_) request.labels = labels_.data();
  request.guided_count = guided_;
  request.guided = guided_places_.data();
  request.guidance = guidance_.data();
  request.kept_count = static_cast<std::uint32_t>(kept_places_.size());
  request.kept = kept_places_.data();
  request.kept_out = registers.out;
  if (shape_.head > 0) request.kept_head = registers.head;
  return evaluator_.network()->step(request);
}

double Step::wait() { return evaluator_.network()->settle(this); }

void Step::predict(std::size_t index, float input, float output, const dpm_update& registers,
                   const dpm_view& destination) {
  const StepSample& sample = samples_[index];
  dpm_record state = *sample.record;
  state.input_scale = 1;
  dpm_update_sample move{};
  move.record = &state;
  move.row = sample.row;
  evaluator_.device().gather({1, shape_.image, &move, registers.x, registers.y, destination});
  dpm_record data{};
  data.flags = DPM_RECORD_WRITE_X;
  data.x0_in = input;
  data.x0_out = output;
  data.clip = state.clip;
  data.clip_low = state.clip_low;
  data.clip_high = state.clip_high;
  data.clip_ceiling = state.clip_ceiling;
  data.history_x0 = 1;
  data.x_history[0] = 1;
  move = {};
  move.record = &data;
  move.network_row = sample.row;
  dpm_update request{};
  request.batch = 1;
  request.elements = shape_.image;
  request.samples = &move;
  request.x = destination;
  request.out = registers.out;
  if (rows_of(sample) > 0) {
    request.out = fresh(registers).out;
    if (!in_place_) {
      move.network_row = static_cast<std::uint32_t>(
          std::find_if(seen_.begin(), seen_.end(), [&](const Seen& seen) { return seen.sample == index; }) -
          seen_.begin());
    }
  }
  evaluator_.device().update(request);
}

}  // namespace dpm
