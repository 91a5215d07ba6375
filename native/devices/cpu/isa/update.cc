// The fused update: blocks that stay in the first-level cache pass through every stage of the record, so that each
// tensor is read once and written once.
#include "backend/update_math.h"
#include "core/philox.h"
#include "devices/cpu/isa/functions.h"
#include "devices/cpu/isa/philox_vector.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {
namespace {

constexpr int kBlock = 512;

constexpr int kCounters = kPhiloxVectors * kWidth;
static_assert(kBlock % (4 * kCounters) == 0, "a block is whole groups of normals");

/// Computes normals of elements first .. first + count of one sample, in whole groups: z has room for a multiple of the
/// group. First all words, then the normals, then their order, because the compiler vectorises each of these loops.
void fill_normals(const dpm_update_sample& sample, std::uint64_t first, int count, float* z) {
  const auto counter = static_cast<std::uint32_t>(first / 4);
  const int counters = (count + 4 * kCounters - 1) / (4 * kCounters) * kCounters;
  std::uint32_t words[4][kBlock / 4];
  for (int j = 0; j < counters; j += kCounters) {
    Words vectors[4][kPhiloxVectors];
    philox_vectors(sample, counter + static_cast<std::uint32_t>(j), vectors);
    for (int i = 0; i < 4; ++i) __builtin_memcpy(words[i] + j, vectors[i], sizeof vectors[i]);
  }
  float normals[4][kBlock / 4];
  for (int pair = 0; pair < 4; pair += 2) {
    for (int j = 0; j < counters; ++j) {
      box_muller(words[pair][j], words[pair + 1][j], &normals[pair][j], &normals[pair + 1][j]);
    }
  }
  for (int j = 0; j < counters; ++j) {
    z[4 * j] = normals[0][j];
    z[4 * j + 1] = normals[1][j];
    z[4 * j + 2] = normals[2][j];
    z[4 * j + 3] = normals[3][j];
  }
}

/// Computes destination = sum + noise (normals or given) times the standard deviation.
void add_noise(const UpdateRange& range, int offset, int count, const float* in, const float* sum, float* destination) {
  const dpm_record& record = *range.sample->record;
  float normals[kBlock];
  const float* z = normals;
  if (range.noise != nullptr) {
    z = range.noise + offset;
  } else {
    fill_normals(*range.sample, range.first + static_cast<std::uint64_t>(offset), count, normals);
  }
  const float* out = range.out == nullptr ? in : range.out + offset;
  const float* head = range.head == nullptr ? in : range.head + offset;
  if (record.variance == DPM_VARIANCE_SCALAR) {
    const float deviation = record.deviation;
    DPM_ELEMENTWISE
    for (int i = 0; i < count; ++i) destination[i] = sum[i] + z[i] * deviation;
  } else if (record.variance == DPM_VARIANCE_LINEAR) {
    DPM_ELEMENTWISE
    for (int i = 0; i < count; ++i) {
      destination[i] = sum[i] + z[i] * __builtin_sqrtf(update::linear_variance(record, in[i], out[i], head[i]));
    }
  } else {
    DPM_ELEMENTWISE
    for (int i = 0; i < count; ++i) {
      destination[i] = sum[i] + z[i] * __builtin_sqrtf(update::log_variance(record, head[i]));
    }
  }
}

void fill_solver_variable(const UpdateRange& range, int offset, int count, const float* in, float* m) {
  const dpm_record record = *range.sample->record;
  const float* out = range.out == nullptr ? in : range.out + offset;
  const auto fill = [&](const auto& clip) {
    for (int i = 0; i < count; ++i) {
      m[i] = update::solver_variable(record, in[i], clip(update::data_prediction(record, in[i], out[i])));
    }
  };
  if (record.clip == DPM_CLIP_STATIC) {
    fill([&](float x0) { return update::clamp(x0, record.clip_low, record.clip_high); });
  } else if (record.clip == DPM_CLIP_DYNAMIC) {
    fill([&](float x0) { return update::thresholded(x0, range.threshold); });
  } else {
    fill([](float x0) { return x0; });
  }
}

/// Adds the part of a guide that is scaled by a variance per element.
void add_scaled_guide(const UpdateRange& range, int offset, int count, const float* in, float* sum) {
  const dpm_record& record = *range.sample->record;
  if (range.guide == nullptr || record.x_guide_variance == 0.0F) return;
  const float* guide = range.guide + offset;
  const float* out = range.out == nullptr ? in : range.out + offset;
  const float* head = range.head == nullptr ? in : range.head + offset;
  const float factor = record.x_guide_variance;
  const auto apply = [&](const auto& variance) {
    for (int i = 0; i < count; ++i) sum[i] += factor * variance(i) * guide[i];
  };
  if (record.variance == DPM_VARIANCE_SCALAR) {
    apply([&](int) { return record.deviation * record.deviation; });
  } else if (record.variance == DPM_VARIANCE_LINEAR) {
    apply([&](int i) { return update::linear_variance(record, in[i], out[i], head[i]); });
  } else {
    apply([&](int i) { return update::log_variance(record, head[i]); });
  }
}

/// A tensor of a linear combination. With coefficient zero it may be absent, or hold anything.
struct Term {
  float coefficient;
  const float* source;

  [[nodiscard]] bool counts() const { return coefficient != 0.0F && source != nullptr; }
};

/// Sums terms two at a time, because most updates have two.
class Combination {
 public:
  Combination(int count, float* sum) : count_(count), sum_(sum) {}

  void add(const Term& term) {
    if (!term.counts()) return;
    if (!waiting_) {
      first_ = term;
      waiting_ = true;
      return;
    }
    for (int i = 0; i < count_; ++i) {
      const float pair = first_.coefficient * first_.source[i] + term.coefficient * term.source[i];
      sum_[i] = empty_ ? pair : sum_[i] + pair;
    }
    waiting_ = empty_ = false;
  }

  void finish() {
    if (!waiting_ && !empty_) return;
    for (int i = 0; i < count_; ++i) {
      const float one = waiting_ ? first_.coefficient * first_.source[i] : 0.0F;
      sum_[i] = empty_ ? one : sum_[i] + one;
    }
  }

 private:
  int count_;
  float* sum_;
  Term first_{};
  bool waiting_ = false;
  bool empty_ = true;
};

struct Coefficients {
  float x;
  float y;
  float out;
  float guide;
  const float* history;
};

void combine(const UpdateRange& range, int offset, int count, const Coefficients& coefficients, const float* m,
             float* sum) {
  const auto part = [&](const float* tensor) { return tensor == nullptr ? nullptr : tensor + offset; };
  Combination combination(count, sum);
  combination.add({coefficients.x, part(range.x)});
  combination.add({coefficients.y, part(range.y)});
  combination.add({coefficients.out, part(range.out)});
  combination.add({coefficients.guide, part(range.guide)});
  const std::uint32_t slot = range.sample->record->slot;
  for (std::uint32_t j = 0; j < DPM_MAX_HISTORY; ++j) {
    combination.add({coefficients.history[j], j == slot ? m : part(range.history[j])});
  }
  combination.finish();
}

void copy(const float* source, int count, float* destination) {
  for (int i = 0; i < count; ++i) destination[i] = source[i];
}

void update_block(const UpdateRange& range, int offset, int count) {
  const dpm_record& record = *range.sample->record;
  const float* in = ((record.flags & DPM_RECORD_READ_Y) != 0 ? range.y : range.x) + offset;
  float m[kBlock];
  float sum[kBlock];
  fill_solver_variable(range, offset, count, in, m);
  if (range.guide != nullptr && record.history_guide != 0.0F) {
    for (int i = 0; i < count; ++i) m[i] += record.history_guide * range.guide[offset + i];
  }
  if ((record.flags & DPM_RECORD_WRITE_X) != 0) {
    combine(range, offset, count, {record.x_x, record.x_y, record.x_out, record.x_guide, record.x_history}, m, sum);
    const bool has_variance = record.variance != DPM_VARIANCE_NONE;
    if (has_variance) add_scaled_guide(range, offset, count, in, sum);
    if (has_variance && (record.flags & DPM_RECORD_NOISELESS) == 0) {
      add_noise(range, offset, count, in, sum, range.x + offset);
    } else {
      copy(sum, count, range.x + offset);
    }
  }
  if ((record.flags & DPM_RECORD_WRITE_Y) != 0) {
    combine(range, offset, count, {record.y_x, record.y_y, record.y_out, record.y_guide, record.y_history}, m, sum);
    copy(sum, count, range.y + offset);
  }
  if ((record.flags & DPM_RECORD_STORE_HISTORY) != 0) copy(m, count, range.history[record.slot] + offset);
}

}  // namespace

void update(const UpdateRange& range) {
  for (int offset = 0; offset < range.count; offset += kBlock) {
    const int left = range.count - offset;
    update_block(range, offset, left < kBlock ? left : kBlock);
  }
}

void absolute_prediction(const dpm_record& record, const float* in, const float* out, float* result, int count) {
  for (int i = 0; i < count; ++i) result[i] = __builtin_fabsf(update::data_prediction(record, in[i], out[i]));
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
