#include "training/loss.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace dpm::training {
namespace {

template <typename T>
void upload_all(Buffer& buffer, const std::vector<T>& values) {
  buffer.upload(0, values.data(), values.size() * sizeof(T));
}

/// -ln of the softmax of `logits` at `label`.
double cross_entropy(std::span<const float> logits, std::size_t label) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum) - static_cast<double>(logits[label]);
}

}  // namespace

LossEvaluation::LossEvaluation(const std::shared_ptr<Device>& device, const TrainerOptions& options, Network& network,
                               std::unique_ptr<Curvature> curvature, LearnedRange* range)
    : device_(device),
      options_(options),
      network_(network),
      curvature_(std::move(curvature)),
      range_(range),
      elements_(network.shape().image),
      data_(rows(elements_)),
      noise_(rows(elements_)),
      noised_(rows(elements_)),
      learned_(learned_by(options)),
      made_(curvature_ || learned_ == Learned::kBoth ? rows(elements_) : nullptr),
      out_(rows(network.shape().out)),
      head_(options.learns_head() ? rows(elements_) : nullptr),
      cotangent_(rows(range_ != nullptr ? network.shape().out : elements_)),
      times_(rows(1)),
      labels_(rows(1)),
      weights_(rows(1)),
      draws_(network.shape().draws > 0 ? rows(network.shape().draws) : nullptr),
      records_(options.batch),
      samples_(options.batch) {
  for (std::uint32_t row = 0; row < options.batch; ++row) {
    samples_[row].record = &records_[row];
    samples_[row].row = samples_[row].network_row = samples_[row].noise_row = row;
  }
  if (const TextShape shape = text_shape_of(network.graph()); shape.has_texts()) {
    texts_.emplace(*device, options.batch, shape);
  }
  network.reserve(static_cast<int>(options.batch));
}

std::shared_ptr<Buffer> LossEvaluation::rows(std::uint64_t elements) const {
  return device_->allocate(options_.batch * elements * sizeof(float));
}

LossEvaluation::Learned LossEvaluation::learned_by(const TrainerOptions& options) {
  const auto all = [&](float data, float noise) {
    return std::ranges::all_of(options.levels, [&](const Level& level) {
      return static_cast<float>(level.data_target) == data && static_cast<float>(level.noise_target) == noise;
    });
  };
  if (all(0, 1)) return Learned::kNoise;
  return all(1, 0) ? Learned::kData : Learned::kBoth;
}

MeasuredLoss LossEvaluation::run(const Samples& samples, std::uint32_t step, std::uint32_t first_slot,
                                 const dpm_view& gradients) {
  upload(samples);
  if (draws_) upload_draws(step, first_slot);
  add_noise(samples, step, first_slot);
  Evaluation evaluation;
  evaluation.batch = options_.batch;
  evaluation.image = view(noised_);
  evaluation.time = times_->view(1);
  if (draws_) evaluation.draws = draws_->view(network_.shape().draws);
  if (!samples.labels.empty()) evaluation.labels = labels_->view(1);
  if (texts_) evaluation.context = texts_->view();
  evaluation.out = out_->view(network_.shape().out);
  if (curvature_) {
    curvature_->estimate(evaluation, host_times_.data(), samples, step, first_slot, *made_);
  } else if (made_) {
    make_targets(samples);
  }
  evaluation.gradients = gradients;
  MeasuredLoss measured;
  if (range_ != nullptr) {
    measured.of_samples = range_->differentiate(evaluation, host_times_.data(), samples, *noise_, *cotangent_);
    for (std::uint32_t row = 0; row < options_.batch; ++row) {
      measured.loss += samples.weights[row] * measured.of_samples[row] / static_cast<double>(options_.samples());
    }
    evaluation.out_cotangent = cotangent_->view(network_.shape().out);
  }
  if (options_.is_square()) {
    if (head_) evaluation.head = view(head_);
    (head_ ? evaluation.head_cotangent : evaluation.out_cotangent) = view(cotangent_);
    evaluation.target = view(target());
    evaluation.loss_weight = weights_->view(1);
  }
  network_.evaluate(evaluation, host_times_.data());
  if (options_.classifies()) return classified(samples.labels);
  return options_.is_square() ? square(samples) : measured;
}

void LossEvaluation::upload(const Samples& samples) {
  host_times_.clear();
  host_weights_.clear();
  const double elements = static_cast<double>(options_.samples()) * static_cast<double>(elements_);
  for (std::uint32_t row = 0; row < options_.batch; ++row) {
    const Level& known = options_.levels[samples.levels[row] - 1];
    host_times_.push_back(known.time);
    host_weights_.push_back(static_cast<float>(samples.weights[row] * known.weight / elements));
  }
  upload_all(*data_, samples.images);
  upload_all(*times_, host_times_);
  upload_all(*weights_, host_weights_);
  if (!samples.labels.empty()) upload_all(*labels_, samples.labels);
  if (texts_) texts_->upload(samples.tokens);
  if (!samples.noise.empty()) upload_all(*noise_, samples.noise);
}

void LossEvaluation::upload_draws(std::uint32_t step, std::uint32_t first_slot) {
  host_draws_.clear();
  for (std::uint32_t row = 0; row < options_.batch; ++row) {
    for (const std::uint32_t number : {step, first_slot + row}) {
      for (int byte = 0; byte < 4; ++byte) host_draws_.push_back(static_cast<float>(number >> 8 * byte & 0xFF));
    }
  }
  upload_all(*draws_, host_draws_);
}

void LossEvaluation::add_noise(const Samples& samples, std::uint32_t step, std::uint32_t first_slot) {
  const Seed seed = Seed::of(options_.seed);
  for (std::uint32_t row = 0; row < options_.batch; ++row) {
    const Level& level = options_.levels[samples.levels[row] - 1];
    dpm_record& record = records_[row] = {};
    record.flags = DPM_RECORD_WRITE_Y;
    if (samples.noise.empty()) {
      record.flags |= DPM_RECORD_WRITE_X;
      record.variance = DPM_VARIANCE_SCALAR;
      record.deviation = 1;
    }
    record.y_x = static_cast<float>(level.noise);
    record.y_out = static_cast<float>(level.image);
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

void LossEvaluation::make_targets(const Samples& samples) {
  for (std::uint32_t row = 0; row < options_.batch; ++row) {
    const Level& level = options_.levels[samples.levels[row] - 1];
    dpm_record& record = records_[row] = {};
    record.flags = DPM_RECORD_WRITE_X;
    record.x_y = static_cast<float>(level.noise_target);
    record.x_out = static_cast<float>(level.data_target);
  }
  dpm_update update{};
  update.batch = options_.batch;
  update.elements = elements_;
  update.samples = samples_.data();
  update.x = view(made_);
  update.y = view(noise_);
  update.out = view(data_);
  device_->update(update);
}

const std::shared_ptr<Buffer>& LossEvaluation::target() const {
  if (made_) return made_;
  return learned_ == Learned::kData ? data_ : noise_;
}

// The cotangent of a sample is 2 w (out - target), so the sum of its squares is 4 w times w |out - target|^2.
MeasuredLoss LossEvaluation::square(const Samples& samples) const {
  std::vector<double> squares(options_.batch);
  dpm_reduce request{};
  request.kind = DPM_REDUCE_SUM_SQUARES;
  request.batch = options_.batch;
  request.elements = elements_;
  request.a = view(cotangent_);
  request.result = squares.data();
  device_->reduce(request);
  MeasuredLoss measured;
  for (std::uint32_t row = 0; row < options_.batch; ++row) {
    const auto weight = static_cast<double>(host_weights_[row]);
    const double part = weight > 0 ? squares[row] / (4 * weight) : 0;
    measured.loss += part;
    measured.of_samples.push_back(part * static_cast<double>(options_.samples()) / samples.weights[row]);
  }
  return measured;
}

MeasuredLoss LossEvaluation::classified(const std::vector<std::int32_t>& labels) const {
  const auto classes = static_cast<std::size_t>(network_.shape().out);
  std::vector<float> logits(labels.size() * classes);
  out_->download(0, logits.data(), logits.size() * sizeof(float));
  MeasuredLoss sum;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const std::span<const float> own(logits.data() + row * classes, classes);
    const auto label = static_cast<std::size_t>(labels[row]);
    sum.loss += cross_entropy(own, label);
    if (std::ranges::max_element(own) - own.begin() == labels[row]) ++sum.accuracy;
  }
  const auto samples = static_cast<double>(options_.samples());
  return {sum.loss / samples, sum.accuracy / samples};
}

}  // namespace dpm::training
