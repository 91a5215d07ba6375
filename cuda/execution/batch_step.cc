#include "cuda/execution/batch_step.h"

#include <algorithm>

#include "backend/guidance.h"
#include "cuda/execution/update_arguments.h"
#include "cuda/kernels/state.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

template <typename T>
T* at(unsigned char* table, std::size_t offset) {
  return reinterpret_cast<T*>(table + offset);
}

/// Returns a row that the network sees and no update writes.
UpdateSample only_seen(const UpdateSample& sample) {
  UpdateSample seen{};
  seen.record.flags = sample.record.flags & DPM_RECORD_READ_Y;
  seen.record.time = sample.record.time;
  seen.record.input_scale = sample.record.input_scale;
  seen.row = sample.row;
  return seen;
}

}  // namespace

BatchStep::Parts::Parts(std::size_t rows, const BatchStepKind& kind)
    : times(rows * sizeof(UpdateSample)),
      labels(times + rows * sizeof(float)),
      mixtures(labels + rows * sizeof(std::int32_t)),
      kept(mixtures + (kind.guides ? rows / 2 * sizeof(UpdateSample) : 0)),
      bytes(kept + (kind.keeps ? rows * sizeof(UpdateSample) : 0)) {}

BatchStep::BatchStep(Executable& executable) : executable_(executable) {
  Device& device = executable_.network.device;
  const auto rows = static_cast<std::size_t>(executable_.batch());
  const Parts all(rows, {true, true, true});
  table_ = device.allocate(all.bytes);
  thresholds_ = device.allocate(rows * sizeof(float));
  for (Slot& slot : slots_) slot.table = PinnedMemory(all.bytes);
}

BatchStep::Work BatchStep::work_of(const dpm_step& request) const {
  const dpm_update& update = request.update;
  const auto clips = [](const dpm_update_sample& sample) { return sample.record->clip == DPM_CLIP_DYNAMIC; };
  const BatchStepKind kind{request.guided_count > 0, std::any_of(update.samples, update.samples + update.batch, clips),
                           request.kept_count > 0};
  const std::uint32_t seen = std::max(update.batch + request.guided_count, request.least_rows);
  const auto rows = static_cast<std::uint32_t>(executable_.computed(static_cast<int>(seen)));
  return {request, kind, rows, Parts(rows, kind)};
}

void BatchStep::list_rows(const Work& work, unsigned char* table) {
  const dpm_step& request = work.request;
  const std::uint32_t samples = request.update.batch;
  auto* rows = at<UpdateSample>(table, 0);
  auto* times = at<float>(table, work.parts.times);
  auto* labels = at<std::int32_t>(table, work.parts.labels);
  for (std::uint32_t j = 0; j < work.rows; ++j) {
    const bool is_unconditional = j >= samples && j - samples < request.guided_count;
    // A padding row repeats the first one.
    const std::uint32_t sample = j < samples ? j : is_unconditional ? request.guided[j - samples] : 0;
    rows[j] = update_sample_of(request.update.samples[sample]);
    if (j >= samples) rows[j] = only_seen(rows[j]);
    times[j] = rows[j].record.time;
    if (request.labels != nullptr) labels[j] = request.labels[j < samples || is_unconditional ? j : 0];
  }
}

void BatchStep::list_mixtures(const Work& work, unsigned char* table) {
  const dpm_step& request = work.request;
  auto* mixtures = at<UpdateSample>(table, work.parts.mixtures);
  std::fill_n(mixtures, work.rows / 2, UpdateSample{});
  for (std::uint32_t i = 0; i < request.guided_count; ++i) {
    mixtures[i].record = guidance_record(request.guidance[i]);
    mixtures[i].row = request.guided[i];
    mixtures[i].network_row = request.update.batch + i;
  }
}

void BatchStep::list_kept(const Work& work, unsigned char* table) {
  const dpm_step& request = work.request;
  auto* kept = at<UpdateSample>(table, work.parts.kept);
  for (std::uint32_t i = 0; i < work.rows; ++i) {
    kept[i] = {};
    kept[i].record.input_scale = 1;
    kept[i].row = i < request.kept_count ? request.kept[i] : kNoRow;
    if (i < request.kept_count) kept[i].network_row = request.update.samples[request.kept[i]].row;
  }
}

void BatchStep::upload(const Work& work) {
  unsigned char* table = slots_.at(next_).table.data();
  list_rows(work, table);
  if (work.kind.guides) list_mixtures(work, table);
  if (work.kind.keeps) list_kept(work, table);
  check_cuda(cudaMemcpyAsync(table_.data(), table, work.parts.bytes, cudaMemcpyHostToDevice,
                             executable_.network.device.stream.get()),
             "copying a step's table to the card");
}

GraphKey BatchStep::key(const Work& work) const {
  const dpm_step& request = work.request;
  const dpm_update& update = request.update;
  GraphKey key;
  key.add(work.kind).add(work.rows).add(request.labels != nullptr);
  const auto add = [&](const dpm_view& view) { key.add(rows_of(view)); };
  for (const dpm_view& view : {update.x, update.y, update.out, update.head, update.guide, update.noise}) add(view);
  for (const dpm_view& view : update.history) add(view);
  for (const dpm_view& view : {request.kept_out, request.kept_head}) add(view);
  return key;
}

void BatchStep::guide(const Work& work) const {
  UpdateArguments arguments{};
  arguments.batch = work.rows / 2;
  arguments.elements = work.request.update.elements;
  arguments.samples = at<UpdateSample>(table_.as<unsigned char>(), work.parts.mixtures);
  arguments.x = arguments.out = rows_of(work.request.update.out);
  update(arguments, executable_.network.device.stream.get());
}

void BatchStep::keep(const Work& work, int value, const dpm_view& from, const dpm_view& to) const {
  if (value < 0 || to.buffer == nullptr) return;
  const ValueInfo& info = executable_.network.values[static_cast<std::size_t>(value)];
  GatherArguments arguments{};
  arguments.batch = work.rows;
  arguments.elements = static_cast<std::uint64_t>(info.pixels() * info.shape.channels);
  arguments.samples = at<UpdateSample>(table_.as<unsigned char>(), work.parts.kept);
  arguments.x = rows_of(from);
  arguments.destination = rows_of(to);
  gather(arguments, executable_.network.device.stream.get());
}

void BatchStep::queue(const Work& work) const {
  const Network& network = executable_.network;
  const dpm_step& request = work.request;
  auto* table = table_.as<unsigned char>();
  UpdateArguments own = arguments_of(request.update);
  own.batch = work.rows;
  own.samples = at<UpdateSample>(table, 0);
  own.thresholds = thresholds_.as<float>();
  Evaluation evaluation;
  evaluation.batch = static_cast<int>(work.rows);
  evaluation.x = own.x;
  evaluation.y = own.y;
  evaluation.samples = own.samples;
  evaluation.time = at<float>(table, work.parts.times);
  if (request.labels != nullptr) evaluation.labels = at<std::int32_t>(table, work.parts.labels);
  evaluation.out = own.out;
  evaluation.head = own.head;
  executable_.queue(evaluation);
  if (work.kind.guides) guide(work);
  if (work.kind.keeps) {
    keep(work, network.output.value, request.update.out, request.kept_out);
    keep(work, network.head.value, request.update.head, request.kept_head);
  }
  if (work.kind.clips_dynamically) find_thresholds(own, network.device.stream.get());
  update(own, network.device.stream.get());
  check_launches("running a step");
}

bool BatchStep::has_rows(const dpm_view& view, std::uint64_t rows, std::uint64_t elements) {
  const std::uint64_t needed = view.offset + (rows - 1) * view.stride + elements;
  return view.buffer == nullptr || needed * sizeof(float) <= Handle::of(view.buffer).memory.bytes();
}

double BatchStep::run(const dpm_step& request) {
  const Work work = work_of(request);
  const dpm_update& update = request.update;
  require(has_rows(update.out, work.rows, update.elements) && has_rows(update.head, work.rows, update.elements),
          "a step's outputs have fewer rows than are computed");
  executable_.prepare(static_cast<int>(work.rows));
  const GraphKey of_work = key(work);
  const auto body = [&] { queue(work); };
  // The graph is captured first, so that the step's time does not include the capture.
  executable_.graphs.prepare(of_work, body);
  Slot& slot = slots_.at(next_);
  slot.start.record(executable_.network.device.stream);
  upload(work);
  executable_.graphs.run(of_work, body);
  slot.end.record(executable_.network.device.stream);
  slot.is_busy = true;
  slot.owner = request.owner;
  next_ = 1 - next_;
  finish(next_);
  return told(request.owner);
}

double BatchStep::settle(const void* owner) {
  finish(1 - next_);
  return told(owner);
}

void BatchStep::finish(std::size_t index) {
  Slot& slot = slots_.at(index);
  if (!slot.is_busy) return;
  slot.is_busy = false;
  const double seconds = slot.end.seconds_since(slot.start);
  if (slot.owner != nullptr) seconds_[slot.owner] += seconds;
}

double BatchStep::told(const void* owner) {
  const auto noted = seconds_.find(owner);
  if (noted == seconds_.end()) return 0;
  const double seconds = noted->second;
  seconds_.erase(noted);
  return seconds;
}

}  // namespace dpm::cuda
