// The fused update, written from its definition in record.h rather than from the kernels it checks.
#include <algorithm>
#include <cmath>

#include "core/philox.h"
#include "devices/reference/network.h"

namespace dpm::reference {
namespace {

constexpr double kTwoPi = 6.283185307179586476925286766559;

double normal(const dpm_update_sample& sample, std::uint64_t element) {
  const PhiloxWords words = philox4x32(static_cast<std::uint32_t>(element / 4), sample.record_index,
                                       sample.sample_index, sample.draw, sample.seed_low, sample.seed_high);
  const std::uint64_t pair = element % 4 / 2 * 2;
  const double u0 = (words.word[pair] + 0.5) * 0x1p-32;
  const double u1 = (words.word[pair + 1] + 0.5) * 0x1p-32;
  const double radius = std::sqrt(-2.0 * std::log(u0));
  return radius * (element % 2 == 0 ? std::cos(kTwoPi * u1) : std::sin(kTwoPi * u1));
}

struct Rows {
  float* x;
  float* y;
  const float* out;
  const float* head;
  const float* guide;
  const float* noise;
  float* history[DPM_MAX_HISTORY];
};

double read(const float* tensor, std::uint64_t i) { return tensor == nullptr ? 0.0 : static_cast<double>(tensor[i]); }

double term(float coefficient, double value) {
  return coefficient == 0.0F ? 0.0 : static_cast<double>(coefficient) * value;
}

double data_prediction(const dpm_record& r, const Rows& rows, std::uint64_t i) {
  const double in = read((r.flags & DPM_RECORD_READ_Y) != 0 ? rows.y : rows.x, i);
  return static_cast<double>(r.x0_in) * in + static_cast<double>(r.x0_out) * read(rows.out, i);
}

double threshold(const dpm_record& r, const Rows& rows, std::uint64_t elements) {
  std::vector<double> magnitude(elements);
  for (std::uint64_t i = 0; i < elements; ++i) magnitude[i] = std::fabs(data_prediction(r, rows, i));
  std::sort(magnitude.begin(), magnitude.end());
  const double position = static_cast<double>(r.clip_low) * static_cast<double>(elements - 1);
  const auto below = static_cast<std::uint64_t>(position);
  const std::uint64_t above = std::min(below + 1, elements - 1);
  const double fraction = position - static_cast<double>(below);
  const double quantile = magnitude[below] + fraction * (magnitude[above] - magnitude[below]);
  return std::min(std::max(quantile, static_cast<double>(r.clip_high)), static_cast<double>(r.clip_ceiling));
}

double variance(const dpm_record& r, const Rows& rows, std::uint64_t i) {
  if (r.variance == DPM_VARIANCE_SCALAR) return static_cast<double>(r.deviation) * static_cast<double>(r.deviation);
  double value = static_cast<double>(r.v0) + static_cast<double>(r.v1) * read(rows.head, i);
  if (r.variance == DPM_VARIANCE_LOG) {
    value = std::exp(value);
  } else {
    const double in = read((r.flags & DPM_RECORD_READ_Y) != 0 ? rows.y : rows.x, i);
    const double epsilon = static_cast<double>(r.eps_in) * in + static_cast<double>(r.eps_out) * read(rows.out, i);
    value += static_cast<double>(r.v2) * epsilon * epsilon;
  }
  return std::clamp(value, static_cast<double>(r.low), static_cast<double>(r.high));
}

double clipped(const dpm_record& r, double x0, double limit) {
  if (r.clip == DPM_CLIP_STATIC)
    return std::clamp(x0, static_cast<double>(r.clip_low), static_cast<double>(r.clip_high));
  if (r.clip == DPM_CLIP_DYNAMIC) return std::clamp(x0, -limit, limit) / limit;
  return x0;
}

double weighted_history(const float* coefficients, const dpm_record& r, const Rows& rows, double m, std::uint64_t i) {
  double sum = 0;
  for (std::uint32_t j = 0; j < DPM_MAX_HISTORY; ++j) {
    if (coefficients[j] == 0.0F) continue;
    sum += static_cast<double>(coefficients[j]) * (j == r.slot ? m : read(rows.history[j], i));
  }
  return sum;
}

void update_element(const dpm_update_sample& sample, const Rows& rows, double limit, std::uint64_t i) {
  const dpm_record& r = *sample.record;
  const double in = read((r.flags & DPM_RECORD_READ_Y) != 0 ? rows.y : rows.x, i);
  const double x0 = clipped(r, data_prediction(r, rows, i), limit);
  const double guide = read(rows.guide, i);
  const double m =
      static_cast<double>(r.history_in) * in + static_cast<double>(r.history_x0) * x0 + term(r.history_guide, guide);
  const double out = read(rows.out, i);
  double x = read(rows.x, i);
  if ((r.flags & DPM_RECORD_WRITE_X) != 0) {
    double next = term(r.x_x, x) + term(r.x_y, read(rows.y, i)) + term(r.x_out, out) +
                  weighted_history(r.x_history, r, rows, m, i) + term(r.x_guide, guide);
    if (r.variance != DPM_VARIANCE_NONE) {
      next += term(r.x_guide_variance, guide) * variance(r, rows, i);
      if ((r.flags & DPM_RECORD_NOISELESS) == 0) {
        const double z = rows.noise != nullptr ? read(rows.noise, i) : normal(sample, i);
        next += std::sqrt(variance(r, rows, i)) * z;
      }
    }
    rows.x[i] = static_cast<float>(next);
    x = static_cast<double>(rows.x[i]);
  }
  if ((r.flags & DPM_RECORD_WRITE_Y) != 0) {
    rows.y[i] = static_cast<float>(term(r.y_x, x) + term(r.y_y, read(rows.y, i)) + term(r.y_out, out) +
                                   weighted_history(r.y_history, r, rows, m, i) + term(r.y_guide, guide));
  }
  if ((r.flags & DPM_RECORD_STORE_HISTORY) != 0) rows.history[r.slot][i] = static_cast<float>(m);
}

}  // namespace

float* row(const dpm_view& view, std::uint64_t index) {
  if (view.buffer == nullptr) return nullptr;
  return reinterpret_cast<float*>(Handle::of(view.buffer).bytes.data()) + view.offset + index * view.stride;
}

void gather(const dpm_gather& gather) {
  for (std::uint32_t j = 0; j < gather.batch; ++j) {
    const dpm_update_sample& sample = gather.samples[j];
    const float* source = row((sample.record->flags & DPM_RECORD_READ_Y) != 0 ? gather.y : gather.x, sample.row);
    float* target = row(gather.destination, sample.network_row);
    for (std::uint64_t i = 0; i < gather.elements; ++i) target[i] = sample.record->input_scale * source[i];
  }
}

void update(const dpm_update& update) {
  for (std::uint32_t j = 0; j < update.batch; ++j) {
    const dpm_update_sample& sample = update.samples[j];
    Rows rows{row(update.x, sample.row),
              row(update.y, sample.row),
              row(update.out, sample.network_row),
              row(update.head, sample.network_row),
              row(update.guide, sample.network_row),
              row(update.noise, sample.noise_row),
              {}};
    for (int slot = 0; slot < DPM_MAX_HISTORY; ++slot) rows.history[slot] = row(update.history[slot], sample.row);
    const dpm_record& record = *sample.record;
    const double limit = record.clip == DPM_CLIP_DYNAMIC ? threshold(record, rows, update.elements) : 0.0;
    for (std::uint64_t i = 0; i < update.elements; ++i) update_element(sample, rows, limit, i);
  }
}

void reduce(const dpm_reduce& reduce) {
  for (std::uint32_t n = 0; n < reduce.batch; ++n) {
    const float* a = row(reduce.a, n);
    const float* b = reduce.b.buffer != nullptr ? row(reduce.b, n) : a;
    double sum = 0;
    double maximum = 0;
    for (std::uint64_t i = 0; i < reduce.elements; ++i) {
      const double value = read(a, i);
      if (std::isnan(value) || std::fabs(value) > maximum) maximum = std::isnan(maximum) ? maximum : std::fabs(value);
      if (reduce.kind == DPM_REDUCE_SUM) sum += value;
      if (reduce.kind == DPM_REDUCE_SUM_SQUARES) sum += value * value;
      if (reduce.kind == DPM_REDUCE_DOT) sum += value * read(b, i);
    }
    reduce.result[n] = reduce.kind == DPM_REDUCE_MAX_ABS ? maximum : sum;
  }
}

}  // namespace dpm::reference
