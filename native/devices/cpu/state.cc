#include "devices/cpu/state.h"

#include <cmath>
#include <span>
#include <vector>

#include "backend/update_math.h"

namespace dpm::cpu {
namespace {

// Chunks are cut per sample and in whole blocks of the kernels, so that no result depends on the cuts.
constexpr std::uint64_t kChunk = 8192;
constexpr std::uint64_t kSmallChunk = 1536;

float* row(const dpm_view& view, std::uint64_t index) {
  return view.buffer == nullptr ? nullptr : Handle::of(view.buffer).memory.floats() + view.offset + index * view.stride;
}

/// The threshold of dynamic clipping: the quantile of |x0|, linearly interpolated, within the record's limits.
float dynamic_threshold(const Device& device, const dpm_update& update, const dpm_update_sample& sample,
                        std::span<float> magnitude) {
  const dpm_record& record = *sample.record;
  const bool read_y = (record.flags & DPM_RECORD_READ_Y) != 0;
  const float* in = row(read_y ? update.y : update.x, sample.row);
  const float* out = row(update.out, sample.network_row);
  device.isa.absolute_prediction(record, in, out == nullptr ? in : out, magnitude.data(),
                                 static_cast<int>(update.elements));
  const double position = static_cast<double>(record.clip_low) * static_cast<double>(update.elements - 1);
  const auto below = static_cast<std::ptrdiff_t>(position);
  std::nth_element(magnitude.begin(), magnitude.begin() + below, magnitude.end());
  const float low = magnitude[static_cast<std::size_t>(below)];
  float high = low;
  if (static_cast<std::uint64_t>(below) + 1 < update.elements) {
    high = *std::min_element(magnitude.begin() + below + 1, magnitude.end());
  }
  const double fraction = position - static_cast<double>(below);
  const auto quantile = static_cast<float>(low + fraction * (static_cast<double>(high) - low));
  return update::dynamic_threshold(record, quantile);
}

/// Computes the threshold of each sample of the update, in `device.thresholds`.
void find_dynamic_thresholds(Device& device, const dpm_update& update) {
  device.thresholds.assign(update.batch, 0.0F);
  const bool any = std::any_of(update.samples, update.samples + update.batch,
                               [](const dpm_update_sample& sample) { return sample.record->clip == DPM_CLIP_DYNAMIC; });
  if (!any) return;
  device.magnitudes.resize(static_cast<std::size_t>(device.pool.threads()) * update.elements);
  device.pool.parallel_for(update.batch, [&](std::int64_t j, int thread) {
    const dpm_update_sample& sample = update.samples[j];
    if (sample.record->clip != DPM_CLIP_DYNAMIC) return;
    float* own = device.magnitudes.data() + static_cast<std::size_t>(thread) * update.elements;
    device.thresholds[static_cast<std::size_t>(j)] = dynamic_threshold(device, update, sample, {own, update.elements});
  });
}

/// Number of rows whose sums are added up together, so that an addition need not wait for the one before it.
constexpr std::uint64_t kRowsTogether = 4;

/// Returns the largest magnitude. A NaN stays the maximum, whatever comes after it.
double largest(const float* values, std::uint64_t count) {
  double maximum = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const double value = std::fabs(static_cast<double>(values[i]));
    if (!(value <= maximum) && !std::isnan(maximum)) maximum = value;
  }
  return maximum;
}

/// Adds up `term(a, b)` of `Rows` rows from `first` on, each in its order.
template <std::uint64_t Rows, typename Term>
void add_rows(const dpm_reduce& reduce, std::uint64_t first, const Term& term) {
  const float* a[Rows];
  const float* b[Rows];
  double sums[Rows] = {};
  for (std::uint64_t n = 0; n < Rows; ++n) {
    a[n] = row(reduce.a, first + n);
    b[n] = row(reduce.kind == DPM_REDUCE_DOT ? reduce.b : reduce.a, first + n);
  }
  for (std::uint64_t i = 0; i < reduce.elements; ++i) {
    for (std::uint64_t n = 0; n < Rows; ++n) {
      sums[n] += term(static_cast<double>(a[n][i]), static_cast<double>(b[n][i]));
    }
  }
  for (std::uint64_t n = 0; n < Rows; ++n) reduce.result[first + n] = sums[n];
}

/// Adds up all rows, several together where there are enough for every thread.
template <typename Term>
void add_up(Device& device, const dpm_reduce& reduce, const Term& term) {
  const auto threads = static_cast<std::uint64_t>(device.pool.threads());
  const std::uint64_t together = reduce.batch >= 2 * kRowsTogether * threads ? reduce.batch / kRowsTogether : 0;
  const std::uint64_t alone = reduce.batch - together * kRowsTogether;
  device.pool.parallel_for(static_cast<std::int64_t>(together + alone), [&](std::int64_t task, int /*thread*/) {
    const auto index = static_cast<std::uint64_t>(task);
    if (index < together) {
      add_rows<kRowsTogether>(reduce, index * kRowsTogether, term);
    } else {
      add_rows<1>(reduce, together * kRowsTogether + index - together, term);
    }
  });
}

/// Drawing normals takes long enough for another thread to help with a single sample.
std::uint64_t chunk_of(const Device& device, const dpm_update& update) {
  const bool draws = update.noise.buffer == nullptr && update.samples[0].record->variance != DPM_VARIANCE_NONE;
  return draws && static_cast<int>(update.batch) < device.pool.threads() ? kSmallChunk : kChunk;
}

}  // namespace

void gather(Device& device, const dpm_gather& gather) {
  const auto chunks = static_cast<std::int64_t>((gather.elements + kChunk - 1) / kChunk);
  device.pool.parallel_for(static_cast<std::int64_t>(gather.batch) * chunks, [&](std::int64_t task, int /*thread*/) {
    const auto j = static_cast<std::uint64_t>(task / chunks);
    const dpm_update_sample& sample = gather.samples[j];
    const std::uint64_t first = static_cast<std::uint64_t>(task % chunks) * kChunk;
    const bool read_y = (sample.record->flags & DPM_RECORD_READ_Y) != 0;
    device.isa.scaled_copy(row(read_y ? gather.y : gather.x, sample.row) + first, sample.record->input_scale,
                           row(gather.destination, sample.network_row) + first,
                           std::min(kChunk, gather.elements - first));
  });
}

void update(Device& device, const dpm_update& update) {
  find_dynamic_thresholds(device, update);
  const std::uint64_t chunk = chunk_of(device, update);
  const auto chunks = static_cast<std::int64_t>((update.elements + chunk - 1) / chunk);
  device.pool.parallel_for(static_cast<std::int64_t>(update.batch) * chunks, [&](std::int64_t task, int /*thread*/) {
    const auto j = static_cast<std::size_t>(task / chunks);
    const std::uint64_t first = static_cast<std::uint64_t>(task % chunks) * chunk;
    const dpm_update_sample& sample = update.samples[j];
    const auto at = [&](const dpm_view& view, std::uint32_t index) {
      float* start = row(view, index);
      return start == nullptr ? nullptr : start + first;
    };
    UpdateRange range{};
    range.sample = &sample;
    range.threshold = device.thresholds[j];
    range.first = first;
    range.count = static_cast<int>(std::min(chunk, update.elements - first));
    range.x = at(update.x, sample.row);
    range.y = at(update.y, sample.row);
    range.out = at(update.out, sample.network_row);
    range.head = at(update.head, sample.network_row);
    range.guide = at(update.guide, sample.network_row);
    range.noise = at(update.noise, sample.noise_row);
    for (int slot = 0; slot < DPM_MAX_HISTORY; ++slot) range.history[slot] = at(update.history[slot], sample.row);
    device.isa.update(range);
  });
}

void reduce(Device& device, const dpm_reduce& reduce) {
  if (reduce.kind == DPM_REDUCE_MAX_ABS) {
    device.pool.parallel_for(reduce.batch, [&](std::int64_t n, int /*thread*/) {
      reduce.result[n] = largest(row(reduce.a, static_cast<std::uint64_t>(n)), reduce.elements);
    });
  } else if (reduce.kind == DPM_REDUCE_SUM) {
    add_up(device, reduce, [](double a, double /*b*/) { return a; });
  } else {
    add_up(device, reduce, [](double a, double b) { return a * b; });
  }
}

}  // namespace dpm::cpu
