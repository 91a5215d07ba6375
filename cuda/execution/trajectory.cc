#include "cuda/execution/trajectory.h"

#include <algorithm>

#include "cuda/execution/update_arguments.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// Limit in bytes of the table on the GPU; longer trajectories are copied there piece by piece.
std::size_t most_table_bytes(const DeviceSettings& settings) {
  constexpr std::uint64_t kLimit = std::uint64_t{64} << 20;
  constexpr std::uint64_t kShare = 256;
  return static_cast<std::size_t>(std::min(kLimit, settings.card_memory / kShare));
}

template <typename T>
PredictionMap<T> prediction_of(const RunContext& run, int value) {
  const bool is_float = value >= 0 && run.values[static_cast<std::size_t>(value)].is_float;
  if (is_float) return {{}, run.map<const float>(value)};
  return {run.map<const T>(value), {}};
}

}  // namespace

void Trajectory::list_steps(const dpm_trajectory& request) {
  host_table_.clear();
  kinds_.clear();
  const std::size_t records = std::size_t{steps_} * batch_;
  host_table_.reserve(records);
  for (std::size_t i = 0; i < records; ++i) host_table_.push_back(update_sample_of(request.update.samples[i]));
  for (std::uint32_t step = 0; step < steps_; ++step) {
    const UpdateSample* samples = host_table_.data() + std::size_t{step} * batch_;
    StepKind kind;
    kind.evaluates = (samples[0].record.flags & DPM_RECORD_EVALUATE) != 0;
    kind.clips_dynamically = std::any_of(samples, samples + batch_, clips_dynamically);
    kinds_.push_back(kind);
  }
}

void Trajectory::reserve() {
  Device& device = executable_.network.device;
  const std::size_t step_bytes = std::size_t{batch_} * sizeof(UpdateSample);
  capacity_ =
      static_cast<std::uint32_t>(std::clamp<std::size_t>(most_table_bytes(device.settings) / step_bytes, 1, steps_));
  ensure(device, table_, capacity_ * step_bytes);
  ensure(device, current_, step_bytes);
  ensure(device, time_, std::size_t{batch_} * sizeof(float));
  ensure(device, progress_, sizeof(StepProgress));
  ensure(device, device.thresholds, std::size_t{batch_} * sizeof(float));
}

void Trajectory::prepare_conditions() {
  const auto most_batch = static_cast<std::uint32_t>(executable_.batch());
  has_conditions_ = conditions_.prepare({batch_, labels_, most_batch}, &host_table_);
  places_ = executable_.places();
  if (has_conditions_) conditions_.place(&places_);
}

void Trajectory::begin(const dpm_trajectory& request) {
  Device& device = executable_.network.device;
  executable_.prepare(static_cast<int>(request.update.batch));
  batch_ = request.update.batch;
  // No step remains until all preparations succeed.
  steps_ = done_ = request.steps;
  filled_ = 0;
  labels_ = reinterpret_cast<const std::int32_t*>(rows_of(request.labels).data);
  list_steps(request);
  reserve();
  prepare_conditions();
  update_ = arguments_of(request.update);
  // Guides do not take part in updates inside of trajectories (update_element.h).
  update_.guide = {};
  update_.samples = current_.as<UpdateSample>();
  update_.thresholds = device.thresholds.as<float>();
  refill();
  done_ = 0;
}

void Trajectory::refill() {
  Device& device = executable_.network.device;
  const std::uint32_t steps = std::min(capacity_, steps_ - filled_);
  const std::size_t step_bytes = std::size_t{batch_} * sizeof(UpdateSample);
  const UpdateSample* source = host_table_.data() + std::size_t{filled_} * batch_;
  const StepProgress progress{0, 0, steps};
  device.staging.upload(device.stream, table_.data(), source, steps * step_bytes);
  device.staging.upload(device.stream, progress_.data(), &progress, sizeof progress);
  filled_ += steps;
  load_first_image();
}

Evaluation Trajectory::evaluation() const {
  Evaluation evaluation;
  evaluation.batch = static_cast<int>(batch_);
  evaluation.x = update_.x;
  evaluation.y = update_.y;
  evaluation.samples = update_.samples;
  evaluation.time = time_.as<float>();
  evaluation.labels = labels_;
  evaluation.out = update_.out;
  evaluation.head = update_.head;
  return evaluation;
}

void Trajectory::load_first_image() const {
  Evaluation first = evaluation();
  first.samples = table_.as<UpdateSample>();
  executable_.load_inputs(first);
  check_launches("starting a trajectory");
}

StepTable Trajectory::table() const {
  return {batch_, table_.as<UpdateSample>(), progress_.as<StepProgress>(), current_.as<UpdateSample>(),
          time_.as<float>()};
}

SelectStepArguments Trajectory::selection() const {
  SelectStepArguments arguments{};
  arguments.table = table();
  if (has_conditions_) conditions_.list(&arguments);
  return arguments;
}

GraphKey Trajectory::key() const {
  GraphKey key;
  key.add(batch_).add(update_.elements).add(update_.thresholds).add(labels_);
  for (const Rows& rows : {update_.x, update_.y, update_.out, update_.head, update_.noise}) {
    key.add(rows.data).add(rows.stride);
  }
  for (const Rows& rows : update_.history) key.add(rows.data).add(rows.stride);
  for (const DeviceMemory* memory : {&table_, &current_, &time_, &progress_}) key.add(memory->data());
  const SelectStepArguments selected = selection();
  for (const StepCondition& condition : selected.condition) key.add(condition.rows).add(condition.current);
  return key;
}

void Trajectory::queue_finish(bool has_maps) const {
  const Network& network = executable_.network;
  const int image = network.image.value;
  with_storage(network.device.settings.dtype, [&](auto type) {
    using T = decltype(type);
    const RunContext run = executable_.context(evaluation(), places_);
    FinishStepArguments<T> arguments{};
    arguments.table = table();
    arguments.update = update_;
    arguments.channels = image < 0 ? 1 : network.values[static_cast<std::size_t>(image)].shape.channels;
    arguments.pixels = static_cast<int>(update_.elements) / arguments.channels;
    arguments.image = run.map<T>(image);
    if (has_maps) {
      arguments.out = prediction_of<T>(run, network.output.value);
      arguments.head = prediction_of<T>(run, network.head.value);
    }
    finish_step(arguments, network.device.stream.get());
  });
}

void Trajectory::queue_step(StepKind kind) const {
  const cudaStream_t stream = executable_.network.device.stream.get();
  select_step(selection(), stream);
  if (kind.evaluates) executable_.queue_layers(evaluation(), places_, !has_conditions_);
  // Finding a threshold needs the whole prediction in memory.
  if (kind.clips_dynamically) {
    if (kind.evaluates) executable_.store_outputs(evaluation());
    find_thresholds(update_, stream);
  }
  queue_finish(kind.evaluates && !kind.clips_dynamically);
  check_launches("running a step");
}

void Trajectory::launch_step(StepKind kind) {
  executable_.graphs.run(key().add(kind), [&] { queue_step(kind); });
}

void Trajectory::advance(std::uint32_t steps, bool wait) {
  require(steps <= steps_ - done_, "a trajectory has fewer steps left than are asked for");
  while (steps > 0) {
    if (done_ == filled_) refill();
    const std::uint32_t now = std::min(steps, filled_ - done_);
    for (std::uint32_t step = done_; step < done_ + now; ++step) launch_step(kinds_[step]);
    done_ += now;
    steps -= now;
  }
  const Event& before = ends_.at(last_end_);
  last_end_ = 1 - last_end_;
  ends_.at(last_end_).record(executable_.network.device.stream);
  (wait ? ends_.at(last_end_) : before).wait();
}

}  // namespace dpm::cuda
