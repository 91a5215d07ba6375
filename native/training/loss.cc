#include "training/loss.h"

#include <cmath>

#include "training/targets.h"

namespace dpm::training {
namespace {

template <typename T>
void upload_all(Buffer& buffer, const std::vector<T>& values) {
  buffer.upload(0, values.data(), values.size() * sizeof(T));
}

}  // namespace

LossEvaluation::LossEvaluation(const std::shared_ptr<Device>& device, const TrainerOptions& options, Network& network)
    : device_(device),
      options_(options),
      network_(network),
      elements_(network.shape().image),
      data_(rows(elements_)),
      noise_(rows(elements_)),
      noised_(rows(elements_)),
      velocity_(options.prediction == Prediction::kVelocity ? rows(elements_) : nullptr),
      out_(rows(elements_)),
      head_(options.learns_head() ? rows(elements_) : nullptr),
      cotangent_(rows(elements_)),
      times_(rows(1)),
      labels_(rows(1)),
      weights_(rows(1)),
      records_(options.batch),
      samples_(options.batch) {
  for (std::uint32_t row = 0; row < options.batch; ++row) {
    samples_[row].record = &records_[row];
    samples_[row].row = samples_[row].network_row = samples_[row].noise_row = row;
  }
  network.reserve(static_cast<int>(options.batch));
}

std::shared_ptr<Buffer> LossEvaluation::rows(std::uint64_t elements) const {
  return device_->allocate(options_.batch * elements * sizeof(float));
}

double LossEvaluation::run(const Batch& batch, std::uint32_t step, std::uint32_t first_slot,
                           const dpm_view& gradients) {
  upload(batch);
  add_noise(batch, step, first_slot);
  if (velocity_) make_targets(batch);
  Evaluation evaluation;
  evaluation.batch = options_.batch;
  evaluation.image = view(noised_);
  evaluation.time = times_->view(1);
  if (!batch.labels.empty()) evaluation.labels = labels_->view(1);
  evaluation.out = view(out_);
  if (head_) evaluation.head = view(head_);
  (head_ ? evaluation.head_cotangent : evaluation.out_cotangent) = view(cotangent_);
  evaluation.target = view(target());
  evaluation.loss_weight = weights_->view(1);
  evaluation.gradients = gradients;
  network_.evaluate(evaluation, host_times_.data());
  return value();
}

void LossEvaluation::upload(const Batch& batch) {
  host_times_.clear();
  host_weights_.clear();
  const double elements = static_cast<double>(options_.samples()) * static_cast<double>(elements_);
  for (const std::uint32_t level : batch.levels) {
    host_times_.push_back(options_.levels.times[level - 1]);
    host_weights_.push_back(static_cast<float>(weight_of(options_, level) / elements));
  }
  upload_all(*data_, batch.images);
  upload_all(*times_, host_times_);
  upload_all(*weights_, host_weights_);
  if (!batch.labels.empty()) upload_all(*labels_, batch.labels);
  if (!batch.noise.empty()) upload_all(*noise_, batch.noise);
}

void LossEvaluation::add_noise(const Batch& batch, std::uint32_t step, std::uint32_t first_slot) {
  const Seed seed = Seed::of(options_.seed);
  for (std::uint32_t row = 0; row < options_.batch; ++row) {
    const std::uint32_t level = batch.levels[row];
    dpm_record& record = records_[row] = {};
    record.flags = DPM_RECORD_WRITE_Y;
    if (batch.noise.empty()) {
      record.flags |= DPM_RECORD_WRITE_X;
      record.variance = DPM_VARIANCE_SCALAR;
      record.deviation = 1;
    }
    record.y_x = static_cast<float>(std::sqrt(options_.levels.noise[level - 1]));
    record.y_out = static_cast<float>(std::sqrt(options_.levels.signal[level - 1]));
    samples_[row].seed_low = seed.low;
    samples_[row].seed_high = seed.high;
    samples_[row].record_index = step;
    samples_[row].sample_index = first_slot + row;
  }
  dpm_update update{};
  update.batch = options_.batch;
  update.elements = elements_;
  update.samples = samples_.data();
  update.x = view(noise_);
  update.y = view(noised_);
  update.out = view(data_);
  device_->update(update);
}

void LossEvaluation::make_targets(const Batch& batch) {
  for (std::uint32_t row = 0; row < options_.batch; ++row) {
    const TargetCoefficients target = target_of(options_, batch.levels[row]);
    dpm_record& record = records_[row] = {};
    record.flags = DPM_RECORD_WRITE_X;
    record.x_y = static_cast<float>(target.noise);
    record.x_out = static_cast<float>(target.data);
  }
  dpm_update update{};
  update.batch = options_.batch;
  update.elements = elements_;
  update.samples = samples_.data();
  update.x = view(velocity_);
  update.y = view(noise_);
  update.out = view(data_);
  device_->update(update);
}

const std::shared_ptr<Buffer>& LossEvaluation::target() const {
  if (velocity_) return velocity_;
  return options_.prediction == Prediction::kData ? data_ : noise_;
}

// The cotangent of a sample is 2 w (out - target), so the sum of its squares is 4 w times w |out - target|^2.
double LossEvaluation::value() const {
  std::vector<double> squares(options_.batch);
  dpm_reduce request{};
  request.kind = DPM_REDUCE_SUM_SQUARES;
  request.batch = options_.batch;
  request.elements = elements_;
  request.a = view(cotangent_);
  request.result = squares.data();
  device_->reduce(request);
  double sum = 0;
  for (std::uint32_t row = 0; row < options_.batch; ++row) {
    const auto weight = static_cast<double>(host_weights_[row]);
    if (weight > 0) sum += squares[row] / (4 * weight);
  }
  return sum;
}

}  // namespace dpm::training
