#include "cpu/state.h"

#include <cmath>
#include <vector>

#include "core/error.h"

namespace dpm::cpu {
namespace {

// Chunks are cut per sample, so that neither batch nor threads move a block's border.
constexpr std::uint64_t kChunk = 8192;

float* row(const dpm_view& view, std::uint64_t index) {
  return view.buffer == nullptr ? nullptr : view.buffer->memory.floats() + view.offset + index * view.stride;
}

/// The quantile of |x0|, linearly interpolated, and at least the record's floor: the threshold of dynamic clipping.
float dynamic_threshold(const dpm_device& device, const dpm_update& update, const dpm_update_sample& sample) {
  const dpm_record& record = *sample.record;
  const bool read_y = (record.flags & DPM_RECORD_READ_Y) != 0;
  std::vector<float> magnitude(update.elements);
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
  return std::max(quantile, record.clip_high);
}

/// Refuses records that would touch a tensor that is not there.
void check_sample(const dpm_update& update, const dpm_update_sample& sample) {
  const dpm_record& record = *sample.record;
  const bool read_y = (record.flags & DPM_RECORD_READ_Y) != 0;
  require(record.slot < DPM_MAX_HISTORY, "a record's history slot is out of range");
  require((read_y ? update.y : update.x).buffer != nullptr, "a record reads a register that is not there");
  require((record.flags & DPM_RECORD_WRITE_X) == 0 || update.x.buffer != nullptr, "a record writes x, which is absent");
  require((record.flags & DPM_RECORD_WRITE_Y) == 0 || update.y.buffer != nullptr, "a record writes y, which is absent");
  require((record.flags & DPM_RECORD_STORE_HISTORY) == 0 || update.history[record.slot].buffer != nullptr,
          "a record keeps a prediction in a slot that is absent");
  require((record.x0_out == 0.0F && record.x_out == 0.0F && record.y_out == 0.0F) || update.out.buffer != nullptr,
          "a record uses the network's output, which is absent");
  const bool uses_head =
      record.variance == DPM_VARIANCE_LOG || (record.variance == DPM_VARIANCE_LINEAR && record.v1 != 0.0F);
  require(!uses_head || update.head.buffer != nullptr, "a record uses a variance head, which is absent");
  require(record.clip != DPM_CLIP_DYNAMIC || (record.clip_low >= 0.0F && record.clip_low <= 1.0F),
          "a dynamic clipping quantile is outside [0, 1]");
}

}  // namespace

void gather(dpm_device& device, const dpm_gather& gather) {
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

void update(dpm_device& device, const dpm_update& update) {
  require(update.elements <= 0x7FFFFFFF, "a sample has too many elements");
  std::vector<float> thresholds(update.batch, 0.0F);
  for (std::uint32_t j = 0; j < update.batch; ++j) check_sample(update, update.samples[j]);
  device.pool.parallel_for(update.batch, [&](std::int64_t j, int /*thread*/) {
    const dpm_update_sample& sample = update.samples[j];
    if (sample.record->clip == DPM_CLIP_DYNAMIC) {
      thresholds[static_cast<std::size_t>(j)] = dynamic_threshold(device, update, sample);
    }
  });
  const auto chunks = static_cast<std::int64_t>((update.elements + kChunk - 1) / kChunk);
  device.pool.parallel_for(static_cast<std::int64_t>(update.batch) * chunks, [&](std::int64_t task, int /*thread*/) {
    const auto j = static_cast<std::size_t>(task / chunks);
    const std::uint64_t first = static_cast<std::uint64_t>(task % chunks) * kChunk;
    const dpm_update_sample& sample = update.samples[j];
    const auto at = [&](const dpm_view& view, std::uint32_t index) {
      float* start = row(view, index);
      return start == nullptr ? nullptr : start + first;
    };
    UpdateRange range{};
    range.sample = &sample;
    range.threshold = thresholds[j];
    range.first = first;
    range.count = static_cast<int>(std::min(kChunk, update.elements - first));
    range.x = at(update.x, sample.row);
    range.y = at(update.y, sample.row);
    range.out = at(update.out, sample.network_row);
    range.head = at(update.head, sample.network_row);
    range.noise = at(update.noise, sample.noise_row);
    for (int slot = 0; slot < DPM_MAX_HISTORY; ++slot) range.history[slot] = at(update.history[slot], sample.row);
    device.isa.update(range);
  });
}

void reduce(dpm_device& device, const dpm_reduce& reduce) {
  require(reduce.a.buffer != nullptr, "a reduction needs a tensor");
  require(reduce.kind != DPM_REDUCE_DOT || reduce.b.buffer != nullptr, "a dot product needs two tensors");
  device.pool.parallel_for(reduce.batch, [&](std::int64_t n, int /*thread*/) {
    const float* a = row(reduce.a, static_cast<std::uint64_t>(n));
    const float* b = row(reduce.kind == DPM_REDUCE_DOT ? reduce.b : reduce.a, static_cast<std::uint64_t>(n));
    double sum = 0;
    double maximum = 0;
    for (std::uint64_t i = 0; i < reduce.elements; ++i) {
      const double value = a[i];
      sum += reduce.kind == DPM_REDUCE_SUM ? value : value * static_cast<double>(b[i]);
      maximum = std::max(maximum, std::fabs(value));
    }
    reduce.result[n] = reduce.kind == DPM_REDUCE_MAX_ABS ? maximum : sum;
  });
}

}  // namespace dpm::cpu
