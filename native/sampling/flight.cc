#include "sampling/flight.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace dpm {
namespace {

constexpr std::uint32_t kInitialRecord = 0xFFFFFFFFu;

/// Records that can touch y at all.
bool uses_y(const dpm_record& record) {
  return (record.flags & (DPM_RECORD_READ_Y | DPM_RECORD_WRITE_Y)) != 0 || record.x_y != 0.0F;
}

bool adds_noise(const dpm_record& record) {
  return (record.flags & DPM_RECORD_WRITE_X) != 0 && record.variance != DPM_VARIANCE_NONE;
}

/// Whether a sample takes two evaluations; with weight 0 the unconditional one is all there is.
bool is_guided(const SampleIdentity& sample) { return sample.guidance != 1.0F && sample.guidance != 0.0F; }

}  // namespace

std::uint32_t Flight::most_evaluated(const RunRequest& request, std::uint32_t batch) {
  const bool guided = std::any_of(request.samples.begin(), request.samples.end(), is_guided);
  return guided ? 2 * batch : batch;
}

Flight::Flight(Network& network, const RunRequest& request, std::uint32_t first, std::uint32_t count)
    : network_(network),
      request_(request),
      shape_(network.shape()),
      first_(first),
      count_(count),
      evaluated_(most_evaluated(request, count)),
      counters_(count, 0),
      noise_counters_(count, 0) {
  allocate();
  if (request.init.empty()) {
    draw_initial_states();
  } else {
    x_->upload(0, request.init.data() + first * shape_.image, count * shape_.image * sizeof(float));
  }
  upload_noise();
}

std::shared_ptr<Buffer> Flight::rows(std::uint64_t elements) {
  return network_.device().allocate(count_ * elements * sizeof(float));
}

std::shared_ptr<Buffer> Flight::evaluated_rows(std::uint64_t elements) {
  return network_.device().allocate(evaluated_ * elements * sizeof(float));
}

std::shared_ptr<Buffer> Flight::zeroed_rows() {
  auto buffer = rows(shape_.image);
  const std::vector<float> zeros(count_ * shape_.image, 0.0F);
  buffer->upload(0, zeros.data(), buffer->bytes());
  return buffer;
}

void Flight::allocate() {
  x_ = rows(shape_.image);
  out_ = rows(shape_.out);
  if (shape_.head > 0) head_ = rows(shape_.head);
  time_ = evaluated_rows(1);
  if (shape_.classes > 0) labels_ = evaluated_rows(1);
  std::uint32_t history = 0;
  bool y = false;
  for (std::uint32_t row = 0; row < count_; ++row) {
    history = std::max(history, program(row).history);
    const dpm_record* records = request_.records.data() + program(row).first;
    y = y || std::any_of(records, records + program(row).count, uses_y);
  }
  if (y) y_ = zeroed_rows();
  for (std::uint32_t j = 0; j < history; ++j) history_.push_back(zeroed_rows());
}

void Flight::draw_initial_states() {
  std::vector<dpm_record> records(count_);
  update_samples_.clear();
  for (std::uint32_t row = 0; row < count_; ++row) {
    records[row].flags = DPM_RECORD_WRITE_X;
    records[row].variance = DPM_VARIANCE_SCALAR;
    records[row].deviation = program(row).initial_scale;
    update_samples_.push_back(update_sample(row, &records[row], kInitialRecord));
  }
  dpm_update request{};
  request.batch = count_;
  request.elements = shape_.image;
  request.samples = update_samples_.data();
  request.x = x_->view(shape_.image);
  network_.device().update(request);
}

void Flight::upload_noise() {
  if (request_.noise.empty()) return;
  const std::uint64_t samples = request_.samples.size();
  noise_records_ = static_cast<std::uint32_t>(request_.noise.size() / (samples * shape_.image));
  noise_ = network_.device().allocate(std::uint64_t{noise_records_} * count_ * shape_.image * sizeof(float));
  const std::uint64_t bytes = count_ * shape_.image * sizeof(float);
  for (std::uint64_t r = 0; r < noise_records_; ++r) {
    noise_->upload(r * bytes, request_.noise.data() + (r * samples + first_) * shape_.image, bytes);
  }
}

dpm_update_sample Flight::update_sample(std::uint32_t row, const dpm_record* record, std::uint32_t record_index) const {
  dpm_update_sample result{};
  result.record = record;
  result.row = row;
  result.network_row = row;
  result.noise_row = noise_counters_[row] * count_ + row;
  result.seed_low = sample(row).seed_low;
  result.seed_high = sample(row).seed_high;
  result.sample_index = sample(row).index;
  result.record_index = record_index;
  return result;
}

dpm_update_sample Flight::current_sample(std::uint32_t row) const {
  require(!noise_ || !adds_noise(record(row)) || noise_counters_[row] < noise_records_,
          "the given noise has fewer slices than the program has noisy records");
  return update_sample(row, &record(row), counters_[row]);
}

dpm_update Flight::registers() const {
  dpm_update result{};
  result.elements = shape_.image;
  result.x = x_->view(shape_.image);
  if (y_) result.y = y_->view(shape_.image);
  result.out = out_->view(shape_.out);
  if (head_) {
    result.head = head_->view(shape_.head);
  } else if (shape_.out >= 2 * shape_.image) {
    result.head = out_->view(shape_.out, shape_.image);
  }
  if (noise_) result.noise = noise_->view(shape_.image);
  for (std::size_t j = 0; j < history_.size(); ++j) result.history[j] = history_[j]->view(shape_.image);
  return result;
}

void Flight::go_on(std::uint32_t row) {
  if (adds_noise(record(row))) ++noise_counters_[row];
  ++counters_[row];
}

void Flight::rewind() {
  std::fill(counters_.begin(), counters_.end(), 0);
  std::fill(noise_counters_.begin(), noise_counters_.end(), 0);
}

bool Flight::list_steps(std::uint32_t steps, std::vector<dpm_update_sample>& table) {
  for (std::uint32_t row = 0; row < count_; ++row) {
    if (program(row).count != steps) return false;
  }
  table.reserve(std::size_t{steps} * count_);
  bool in_step = true;
  for (std::uint32_t step = 0; step < steps && in_step; ++step) {
    for (std::uint32_t row = 0; row < count_; ++row) in_step = in_step && evaluates(row) == evaluates(0);
    for (std::uint32_t row = 0; row < count_; ++row) table.push_back(current_sample(row));
    for (std::uint32_t row = 0; row < count_; ++row) go_on(row);
  }
  rewind();
  return in_step;
}

bool Flight::begin_trajectory() {
  const std::uint32_t steps = program(0).count;
  std::vector<dpm_update_sample> table;
  // A device's trajectory has one evaluation a sample.
  if (!network_.runs_trajectories() || steps == 0 || evaluated_ != count_ || !list_steps(steps, table)) return false;
  dpm_trajectory trajectory{};
  trajectory.steps = steps;
  trajectory.update = registers();
  trajectory.update.batch = count_;
  trajectory.update.samples = table.data();
  if (labels_) {
    live_.resize(count_);
    std::iota(live_.begin(), live_.end(), 0);
    list_asking();
    upload_labels();
    trajectory.labels = labels_->view(1);
  }
  network_.begin(trajectory);
  in_trajectory_ = true;
  return true;
}

std::uint64_t Flight::finish_trajectory() {
  const std::uint32_t steps = program(0).count;
  network_.advance(steps);
  std::fill(counters_.begin(), counters_.end(), steps);
  return std::uint64_t{steps} * count_;
}

std::uint32_t Flight::step() {
  live_.clear();
  for (std::uint32_t row = 0; row < count_; ++row) {
    if (counters_[row] < program(row).count) live_.push_back(row);
  }
  if (live_.empty()) return 0;
  if (in_trajectory_) {
    network_.advance(1);
  } else {
    evaluate();
    update();
  }
  for (const std::uint32_t row : live_) go_on(row);
  return static_cast<std::uint32_t>(live_.size());
}

void Flight::download(RunImages& images, std::uint64_t first) const {
  const std::uint64_t elements = count_ * shape_.image;
  if (request_.levels) {
    x_->download_levels(0, images.levels.data() + first, elements);
  } else {
    x_->download(0, images.floats.data() + first, elements * sizeof(float));
  }
}

void Flight::list_asking() {
  asking_.clear();
  for (const std::uint32_t row : live_) {
    if (!evaluates(row)) continue;
    const bool unconditional = sample(row).guidance == 0.0F;
    asking_.push_back({row, unconditional ? request_.unconditional_label : sample(row).label});
  }
  own_ = asking_.size();
  if (evaluated_ == count_) return;
  for (std::size_t j = 0; j < own_; ++j) {
    const std::uint32_t row = asking_[j].row;
    if (is_guided(sample(row))) asking_.push_back({row, request_.unconditional_label});
  }
}

void Flight::evaluate() {
  list_asking();
  if (asking_.empty()) return;
  upload_times();
  if (labels_) upload_labels();
  const bool in_place = asking_.size() == count_ && own_ == count_;
  if (!in_place && !compact_out_) {
    compact_out_ = evaluated_rows(shape_.out);
    if (shape_.head > 0) compact_head_ = evaluated_rows(shape_.head);
  }
  Evaluation evaluation;
  evaluation.batch = static_cast<std::uint32_t>(asking_.size());
  evaluation.image = network_input(in_place);
  evaluation.time = time_->view(1);
  if (labels_) evaluation.labels = labels_->view(1);
  evaluation.out = (in_place ? out_ : compact_out_)->view(shape_.out);
  if (head_) evaluation.head = (in_place ? head_ : compact_head_)->view(shape_.head);
  network_.evaluate(evaluation, times_.data());
  if (in_place) return;
  scatter(*compact_out_, *out_, shape_.out);
  if (head_) scatter(*compact_head_, *head_, shape_.head);
  guide();
}

void Flight::upload_times() {
  times_.clear();
  for (const Asking& asking : asking_) times_.push_back(record(asking.row).time);
  time_->upload(0, times_.data(), times_.size() * sizeof(float));
}

void Flight::upload_labels() {
  label_values_.clear();
  for (const Asking& asking : asking_) label_values_.push_back(asking.label);
  labels_->upload(0, label_values_.data(), label_values_.size() * sizeof(std::int32_t));
}

dpm_view Flight::network_input(bool in_place) {
  const auto reads_y = [&](const Asking& asking) { return (record(asking.row).flags & DPM_RECORD_READ_Y) != 0; };
  const bool first_reads_y = reads_y(asking_.front());
  const bool direct = in_place && std::all_of(asking_.begin(), asking_.end(), [&](const Asking& asking) {
                        return record(asking.row).input_scale == 1.0F && reads_y(asking) == first_reads_y;
                      });
  if (direct) return (first_reads_y ? y_ : x_)->view(shape_.image);
  if (!input_) input_ = evaluated_rows(shape_.image);
  update_samples_.clear();
  for (std::size_t j = 0; j < asking_.size(); ++j) {
    dpm_update_sample from = update_sample(asking_[j].row, &record(asking_[j].row), 0);
    from.network_row = static_cast<std::uint32_t>(j);
    update_samples_.push_back(from);
  }
  const dpm_view y = y_ ? y_->view(shape_.image) : dpm_view{};
  gather(shape_.image, x_->view(shape_.image), y, input_->view(shape_.image));
  return input_->view(shape_.image);
}

void Flight::gather(std::uint64_t elements, const dpm_view& x, const dpm_view& y, const dpm_view& destination) {
  network_.device().gather(
      {static_cast<std::uint32_t>(update_samples_.size()), elements, update_samples_.data(), x, y, destination});
}

void Flight::scatter(const Buffer& compact, const Buffer& full, std::uint64_t elements) {
  dpm_record unscaled{};
  unscaled.input_scale = 1;
  update_samples_.clear();
  for (std::size_t j = 0; j < own_; ++j) {
    dpm_update_sample move = update_sample(asking_[j].row, &unscaled, 0);
    move.row = static_cast<std::uint32_t>(j);
    update_samples_.push_back(move);
  }
  gather(elements, compact.view(elements), {}, full.view(elements));
}

void Flight::guide() {
  const std::size_t guided = asking_.size() - own_;
  if (guided == 0) return;
  guidance_records_.assign(guided, dpm_record{});
  update_samples_.clear();
  for (std::size_t j = 0; j < guided; ++j) {
    const std::uint32_t row = asking_[own_ + j].row;
    dpm_record& mix = guidance_records_[j];
    mix.flags = DPM_RECORD_WRITE_X;
    mix.x_x = sample(row).guidance;
    mix.x_out = 1.0F - sample(row).guidance;
    dpm_update_sample mixed = update_sample(row, &mix, 0);
    mixed.network_row = static_cast<std::uint32_t>(own_ + j);
    update_samples_.push_back(mixed);
  }
  // A learned range, behind the prediction's channels, and the head are the conditional evaluation's.
  dpm_update request{};
  request.batch = static_cast<std::uint32_t>(guided);
  request.elements = shape_.image;
  request.samples = update_samples_.data();
  request.x = out_->view(shape_.out);
  request.out = compact_out_->view(shape_.out);
  network_.device().update(request);
}

void Flight::update() {
  update_samples_.clear();
  for (const std::uint32_t row : live_) update_samples_.push_back(current_sample(row));
  dpm_update request = registers();
  request.batch = static_cast<std::uint32_t>(live_.size());
  request.samples = update_samples_.data();
  network_.device().update(request);
}

}  // namespace dpm
