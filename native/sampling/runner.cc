#include "sampling/runner.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "sampling/request_check.h"

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

/// Samples that are in flight together, and their registers.
class Flight {
 public:
  Flight(Network& network, const RunRequest& request, std::uint32_t first, std::uint32_t count)
      : network_(network),
        request_(request),
        shape_(network.shape()),
        first_(first),
        count_(count),
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

  /// Runs the current record of every unfinished sample; returns how many there were.
  std::uint32_t step() {
    live_.clear();
    for (std::uint32_t row = 0; row < count_; ++row) {
      if (counters_[row] < program(row).count) live_.push_back(row);
    }
    if (live_.empty()) return 0;
    evaluate();
    update();
    for (const std::uint32_t row : live_) {
      if (adds_noise(record(row))) ++noise_counters_[row];
      ++counters_[row];
    }
    return static_cast<std::uint32_t>(live_.size());
  }

  void download(float* images) const { x_->download(0, images, count_ * shape_.image * sizeof(float)); }

 private:
  [[nodiscard]] const SampleIdentity& sample(std::uint32_t row) const { return request_.samples[first_ + row]; }
  [[nodiscard]] const Program& program(std::uint32_t row) const { return request_.programs[sample(row).program]; }
  [[nodiscard]] const dpm_record& record(std::uint32_t row) const {
    return request_.records[program(row).first + counters_[row]];
  }

  std::shared_ptr<Buffer> rows(std::uint64_t elements) {
    return network_.device().allocate(count_ * elements * sizeof(float));
  }

  void allocate() {
    x_ = rows(shape_.image);
    out_ = rows(shape_.out);
    if (shape_.head > 0) head_ = rows(shape_.head);
    time_ = rows(1);
    if (shape_.classes > 0) labels_ = rows(1);
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

  std::shared_ptr<Buffer> zeroed_rows() {
    auto buffer = rows(shape_.image);
    const std::vector<float> zeros(count_ * shape_.image, 0.0F);
    buffer->upload(0, zeros.data(), buffer->bytes());
    return buffer;
  }

  void draw_initial_states() {
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

  void upload_noise() {
    if (request_.noise.empty()) return;
    const std::uint64_t samples = request_.samples.size();
    noise_records_ = static_cast<std::uint32_t>(request_.noise.size() / (samples * shape_.image));
    noise_ = network_.device().allocate(std::uint64_t{noise_records_} * count_ * shape_.image * sizeof(float));
    const std::uint64_t bytes = count_ * shape_.image * sizeof(float);
    for (std::uint64_t r = 0; r < noise_records_; ++r) {
      noise_->upload(r * bytes, request_.noise.data() + (r * samples + first_) * shape_.image, bytes);
    }
  }

  [[nodiscard]] dpm_update_sample update_sample(std::uint32_t row, const dpm_record* record,
                                                std::uint32_t record_index) const {
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

  void evaluate() {
    std::vector<std::uint32_t>& asking = asking_;
    asking.clear();
    for (const std::uint32_t row : live_) {
      if ((record(row).flags & DPM_RECORD_EVALUATE) != 0) asking.push_back(row);
    }
    if (asking.empty()) return;
    upload_times(asking);
    const bool everyone = asking.size() == count_;
    if (!everyone && !compact_out_) {
      compact_out_ = rows(shape_.out);
      if (shape_.head > 0) compact_head_ = rows(shape_.head);
    }
    dpm_bindings bindings{};
    bindings.batch = static_cast<std::uint32_t>(asking.size());
    bindings.image = network_input(asking, everyone);
    bindings.time = time_->view(1);
    if (labels_) bindings.labels = labels_->view(1);
    bindings.out = (everyone ? out_ : compact_out_)->view(shape_.out);
    if (head_) bindings.head = (everyone ? head_ : compact_head_)->view(shape_.head);
    network_.evaluate(bindings);
    if (everyone) return;
    scatter(asking, *compact_out_, *out_, shape_.out);
    if (head_) scatter(asking, *compact_head_, *head_, shape_.head);
  }

  void upload_times(const std::vector<std::uint32_t>& asking) {
    times_.clear();
    label_values_.clear();
    for (const std::uint32_t row : asking) {
      times_.push_back(record(row).time);
      label_values_.push_back(sample(row).label);
    }
    time_->upload(0, times_.data(), times_.size() * sizeof(float));
    if (labels_) labels_->upload(0, label_values_.data(), label_values_.size() * sizeof(std::int32_t));
  }

  /// The state itself where every sample reads the same register unscaled, otherwise a gathered copy.
  dpm_view network_input(const std::vector<std::uint32_t>& asking, bool everyone) {
    const auto reads_y = [&](std::uint32_t row) { return (record(row).flags & DPM_RECORD_READ_Y) != 0; };
    const bool first_reads_y = reads_y(asking.front());
    const bool direct = everyone && std::all_of(asking.begin(), asking.end(), [&](std::uint32_t row) {
                          return record(row).input_scale == 1.0F && reads_y(row) == first_reads_y;
                        });
    if (direct) return (first_reads_y ? y_ : x_)->view(shape_.image);
    if (!input_) input_ = rows(shape_.image);
    update_samples_.clear();
    for (std::size_t j = 0; j < asking.size(); ++j) {
      dpm_update_sample from = update_sample(asking[j], &record(asking[j]), 0);
      from.network_row = static_cast<std::uint32_t>(j);
      update_samples_.push_back(from);
    }
    const dpm_view y = y_ ? y_->view(shape_.image) : dpm_view{};
    gather(shape_.image, x_->view(shape_.image), y, input_->view(shape_.image));
    return input_->view(shape_.image);
  }

  /// Copies the rows that update_samples_ name.
  void gather(std::uint64_t elements, const dpm_view& x, const dpm_view& y, const dpm_view& destination) {
    network_.device().gather(
        {static_cast<std::uint32_t>(update_samples_.size()), elements, update_samples_.data(), x, y, destination});
  }

  /// Moves row j of `compact` to row asking[j] of `full`.
  void scatter(const std::vector<std::uint32_t>& asking, const Buffer& compact, const Buffer& full,
               std::uint64_t elements) {
    dpm_record unscaled{};
    unscaled.input_scale = 1;
    update_samples_.clear();
    for (std::size_t j = 0; j < asking.size(); ++j) {
      dpm_update_sample move = update_sample(asking[j], &unscaled, 0);
      move.row = static_cast<std::uint32_t>(j);
      update_samples_.push_back(move);
    }
    gather(elements, compact.view(elements), {}, full.view(elements));
  }

  void update() {
    update_samples_.clear();
    for (const std::uint32_t row : live_) {
      require(!noise_ || !adds_noise(record(row)) || noise_counters_[row] < noise_records_,
              "the given noise has fewer slices than the program has noisy records");
      update_samples_.push_back(update_sample(row, &record(row), counters_[row]));
    }
    dpm_update request{};
    request.batch = static_cast<std::uint32_t>(live_.size());
    request.elements = shape_.image;
    request.samples = update_samples_.data();
    request.x = x_->view(shape_.image);
    if (y_) request.y = y_->view(shape_.image);
    request.out = out_->view(shape_.out);
    if (head_) {
      request.head = head_->view(shape_.head);
    } else if (shape_.out >= 2 * shape_.image) {
      request.head = out_->view(shape_.out, shape_.image);
    }
    if (noise_) request.noise = noise_->view(shape_.image);
    for (std::size_t j = 0; j < history_.size(); ++j) request.history[j] = history_[j]->view(shape_.image);
    network_.device().update(request);
  }

  Network& network_;
  const RunRequest& request_;
  const NetworkShape shape_;
  const std::uint32_t first_;
  const std::uint32_t count_;
  std::uint32_t noise_records_ = 0;
  std::vector<std::uint32_t> counters_;
  std::vector<std::uint32_t> noise_counters_;
  std::vector<std::uint32_t> live_;
  std::vector<std::uint32_t> asking_;
  std::vector<float> times_;
  std::vector<std::int32_t> label_values_;
  std::vector<dpm_update_sample> update_samples_;
  std::shared_ptr<Buffer> x_, y_, out_, head_, input_, compact_out_, compact_head_, time_, labels_, noise_;
  std::vector<std::shared_ptr<Buffer>> history_;
};

class Run {
 public:
  Run(Network& network, const RunRequest& request, const std::atomic<bool>& stopping)
      : network_(network), request_(request), stopping_(stopping), image_(network.shape().image) {
    for (const SampleIdentity& sample : request.samples) {
      const std::uint32_t records = request.programs[sample.program].count;
      total_ += records;
      longest_ = std::max(longest_, records);
    }
    result_.images.resize(request.samples.size() * image_);
    if (request.snapshot_every == 0) return;
    for (std::uint32_t record = request.snapshot_every; record <= longest_; record += request.snapshot_every) {
      result_.snapshots.push_back({record, std::vector<float>(result_.images.size())});
    }
  }

  RunResult run() {
    const auto count = static_cast<std::uint32_t>(request_.samples.size());
    const std::uint32_t batch = std::min(request_.batch, count);
    network_.reserve(static_cast<int>(batch));
    for (std::uint32_t first = 0; first < count; first += batch) fly(first, std::min(batch, count - first));
    return std::move(result_);
  }

 private:
  void fly(std::uint32_t first, std::uint32_t count) {
    Flight flight(network_, request_, first, count);
    std::size_t snapshot = 0;
    for (std::uint32_t step = 1;; ++step) {
      check_stopped();
      const std::uint32_t done = flight.step();
      if (done == 0) break;
      done_ += done;
      if (snapshot < result_.snapshots.size() && result_.snapshots[snapshot].record == step) {
        flight.download(result_.snapshots[snapshot++].images.data() + first * image_);
      }
      if (request_.progress) request_.progress(done_, total_);
    }
    float* images = result_.images.data() + first * image_;
    flight.download(images);
    for (; snapshot < result_.snapshots.size(); ++snapshot) {
      std::copy_n(images, count * image_, result_.snapshots[snapshot].images.data() + first * image_);
    }
  }

  void check_stopped() const {
    if (request_.cancelled && request_.cancelled->load(std::memory_order_relaxed)) {
      throw Error(ErrorCode::kAborted,
                  "sampling was aborted after " + std::to_string(done_) + " of " + std::to_string(total_) + " records");
    }
    if (stopping_.load(std::memory_order_relaxed)) throw Error(ErrorCode::kClosed, "the engine was closed");
  }

  Network& network_;
  const RunRequest& request_;
  const std::atomic<bool>& stopping_;
  const std::uint64_t image_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
  std::uint32_t longest_ = 0;
  RunResult result_;
};

}  // namespace

RunResult run_programs(Network& network, const RunRequest& request, const std::atomic<bool>& stopping) {
  check_request(request, network.shape());
  return Run(network, request, stopping).run();
}

}  // namespace dpm
