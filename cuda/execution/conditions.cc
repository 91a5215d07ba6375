#include "cuda/execution/conditions.h"

#include <algorithm>
#include <map>

#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// Number of rows that are computed at once, limited by the memory of their layers' inner results.
constexpr std::size_t kRowsAtOnce = 256;

/// Limit of the whole table in bytes.
std::size_t most_bytes(const DeviceSettings& settings) {
  constexpr std::uint64_t kLimit = std::uint64_t{64} << 20;
  constexpr std::uint64_t kShare = 256;
  return static_cast<std::size_t>(std::min(kLimit, settings.card_memory / kShare));
}

}  // namespace

std::size_t Conditions::row_bytes(int value) const {
  const ValueInfo& info = network_.values[static_cast<std::size_t>(value)];
  return static_cast<std::size_t>(info.pixels() * info.pixel_stride) * dtype_size(network_.device.settings.dtype);
}

bool Conditions::fits(std::size_t rows) const {
  const ConditionPath& path = network_.conditions;
  if (path.read.empty() || path.read.size() > kMostConditions) return false;
  std::size_t bytes = 0;
  for (const int value : path.read) {
    if (row_bytes(value) % sizeof(std::uint32_t) != 0) return false;
    bytes += rows * row_bytes(value);
  }
  return bytes <= most_bytes(network_.device.settings);
}

Conditions::Rows Conditions::list_rows(const Wanted& wanted, bool has_labels, std::vector<UpdateSample>* table) {
  Rows rows;
  rows.repeats_labels = has_labels;
  // A row with labels belongs to the label of its sample, so the rows of a whole step are identified by all its times.
  const std::size_t together = has_labels ? wanted.batch : 1;
  std::map<std::vector<float>, std::uint32_t> known;
  for (std::size_t i = 0; i < table->size(); i += together) {
    std::vector<float> times;
    times.reserve(together);
    for (std::size_t n = 0; n < together; ++n) times.push_back((*table)[i + n].record.time);
    const auto [found, is_new] = known.emplace(times, static_cast<std::uint32_t>(rows.count()));
    if (is_new) rows.times.insert(rows.times.end(), times.begin(), times.end());
    for (std::size_t n = 0; n < together; ++n) {
      (*table)[i + n].condition_row = found->second + static_cast<std::uint32_t>(n);
    }
  }
  return rows;
}

bool Conditions::prepare(const Wanted& wanted, std::vector<UpdateSample>* table) {
  // Rows that were computed before would not follow weights that move.
  if (network_.has_moving_weights()) return false;
  // The rows of one step must fit; a network without such a path has none.
  if (!fits(wanted.batch)) return false;
  const bool has_labels = network_.label.binding >= 0 && wanted.labels != nullptr;
  const Rows rows = list_rows(wanted, has_labels, table);
  if (!fits(rows.count())) return false;
  // Labels at the same address may have changed, so rows with labels are computed again.
  const bool is_known = !has_labels && computed_ == rows.times;
  // The times are cleared until everything is done, because a failure leaves unknown results.
  computed_.clear();
  Device& device = network_.device;
  const std::vector<int>& read = network_.conditions.read;
  current_.resize(read.size());
  rows_.resize(read.size());
  for (std::size_t j = 0; j < read.size(); ++j) {
    ensure(device, current_[j], wanted.most_batch * row_bytes(read[j]));
    ensure(device, rows_[j], rows.count() * row_bytes(read[j]));
  }
  if (!is_known) compute(rows, wanted);
  if (!has_labels) computed_ = rows.times;
  return true;
}

void Conditions::compute(const Rows& rows, const Wanted& wanted) {
  Device& device = network_.device;
  const std::size_t at_once = std::min(kRowsAtOnce, rows.count());
  const std::vector<int>& written = network_.conditions.written;
  inner_.resize(written.size());
  const std::vector<int>& read = network_.conditions.read;
  for (std::size_t j = 0; j < written.size(); ++j) {
    const bool has_rows = std::find(read.begin(), read.end(), written[j]) != read.end();
    if (!has_rows) ensure(device, inner_[j], at_once * row_bytes(written[j]));
  }
  ensure(device, times_, rows.count() * sizeof(float));
  device.staging.upload(device.stream, times_.data(), rows.times.data(), rows.count() * sizeof(float));
  if (rows.repeats_labels) repeat_labels(wanted, rows.count());
  for (const std::size_t count : {at_once, rows.count() % at_once}) ensure(device, scratch_, scratch_bytes(count));
  for (std::size_t first = 0; first < rows.count(); first += at_once) {
    run_layers(rows, first, std::min(at_once, rows.count() - first));
  }
  check_launches("computing a trajectory's conditions");
}

std::size_t Conditions::scratch_bytes(std::size_t rows) const {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < network_.layers.size(); ++i) {
    if (!network_.conditions.is_layer[i]) continue;
    bytes = std::max(bytes, network_.layers[i]->scratch_bytes(static_cast<int>(rows)));
  }
  return bytes;
}

void Conditions::repeat_labels(const Wanted& wanted, std::size_t rows) {
  ensure(network_.device, labels_, rows * sizeof(std::int32_t));
  const cudaStream_t stream = network_.device.stream.get();
  auto* target = labels_.as<std::int32_t>();
  const auto copy = [&](std::size_t at, const std::int32_t* source, std::size_t count) {
    check_cuda(cudaMemcpyAsync(target + at, source, count * sizeof(std::int32_t), cudaMemcpyDeviceToDevice, stream),
               "repeating labels");
  };
  copy(0, wanted.labels, wanted.batch);
  for (std::size_t done = wanted.batch; done < rows; done *= 2) copy(done, target, std::min(done, rows - done));
}

void Conditions::run_layers(const Rows& rows, std::size_t first, std::size_t count) {
  const ConditionPath& path = network_.conditions;
  std::vector<unsigned char*> places(network_.values.size(), nullptr);
  for (std::size_t j = 0; j < path.written.size(); ++j) {
    places[static_cast<std::size_t>(path.written[j])] = inner_[j].as<unsigned char>();
  }
  for (std::size_t j = 0; j < path.read.size(); ++j) {
    places[static_cast<std::size_t>(path.read[j])] = rows_[j].as<unsigned char>() + first * row_bytes(path.read[j]);
  }
  const std::int32_t* labels = rows.repeats_labels ? labels_.as<std::int32_t>() + first : nullptr;
  RunContext run{network_.values, places};
  run.stream = network_.device.stream.get();
  run.batch = run.samples = static_cast<int>(count);
  run.scratch = scratch_.data();
  run.without_plans = true;
  run.time = times_.as<float>() + first;
  run.labels = labels;
  for (std::size_t i = 0; i < network_.layers.size(); ++i) {
    if (path.is_layer[i]) network_.layers[i]->run(run);
  }
}

void Conditions::list(SelectStepArguments* arguments) const {
  const std::vector<int>& read = network_.conditions.read;
  arguments->conditions = static_cast<int>(read.size());
  for (std::size_t j = 0; j < read.size(); ++j) {
    arguments->condition[j] = {rows_[j].as<std::uint32_t>(), current_[j].as<std::uint32_t>(),
                               static_cast<std::uint32_t>(row_bytes(read[j]) / sizeof(std::uint32_t))};
  }
}

void Conditions::place(std::vector<unsigned char*>* places) const {
  const std::vector<int>& read = network_.conditions.read;
  for (std::size_t j = 0; j < read.size(); ++j) {
    (*places)[static_cast<std::size_t>(read[j])] = current_[j].as<unsigned char>();
  }
}

}  // namespace dpm::cuda
