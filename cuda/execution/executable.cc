#include "cuda/execution/executable.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "backend/bindings.h"
#include "core/error.h"
#include "cuda/execution/batch_step.h"
#include "cuda/execution/trajectory.h"
#include "cuda/execution/update_arguments.h"
#include "cuda/kernels/convert.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/replay.h"

namespace dpm::cuda {
namespace {

Evaluation evaluation_of(const Network& network, const dpm_bindings& bindings) {
  const auto rows = [&](const Network::Bound& bound) {
    return bound.binding < 0 ? Rows{nullptr, 0} : rows_of(bindings.views[bound.binding]);
  };
  Evaluation evaluation;
  evaluation.batch = static_cast<int>(bindings.batch);
  evaluation.x = rows(network.image);
  evaluation.time = rows(network.time).data;
  evaluation.labels = reinterpret_cast<const std::int32_t*>(rows(network.label).data);
  evaluation.groups = reinterpret_cast<const std::uint32_t*>(rows_of(bindings.groups).data);
  evaluation.out = rows(network.output);
  evaluation.head = rows(network.head);
  std::transform(network.given.begin(), network.given.end(), evaluation.given.begin(), rows);
  std::transform(network.derived.begin(), network.derived.end(), evaluation.derived.begin(), rows);
  for (const Network::Bound& sum : network.sums) evaluation.sums.push_back(rows(sum).data);
  return evaluation;
}

GraphKey key_of(const Evaluation& e) {
  GraphKey key;
  const auto add = [&](const Rows& rows) { key.add(rows.data).add(rows.stride); };
  for (const Rows& rows : {e.x, e.out, e.head}) add(rows);
  for (const Rows& rows : e.given) add(rows);
  for (const Rows& rows : e.derived) add(rows);
  for (const float* sum : e.sums) key.add(sum);
  key.add(e.time).add(e.labels).add(e.groups).add(e.batch);
  return key;
}

}  // namespace

Executable::Executable(Network& owner, const dpm_plan& plan)
    : network(owner),
      graphs(owner.device),
      batch_(static_cast<int>(plan.batch)),
      places_(owner.values.size(), nullptr) {
  require(plan.batch >= 1 && plan.batch <= kMostGridRows, "the cuda device evaluates at most 65535 samples at a time");
  const std::size_t element = dtype_size(network.device.settings.dtype);
  auto* arena = Handle::of(plan.arena).memory.as<unsigned char>();
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const ValueInfo& info = network.values[i];
    if (info.root == static_cast<int>(i) && !is_bound(info.shape)) {
      places_[i] = arena + plan.batch * plan.offsets[i] * element;
    }
  }
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    if (network.joined_by[i] >= 0) branches_.try_emplace(i);
  }
  std::vector<Network::Bound> maps = {network.image, network.output, network.head};
  maps.insert(maps.end(), network.given.begin(), network.given.end());
  maps.insert(maps.end(), network.derived.begin(), network.derived.end());
  for (const auto [binding, border] : maps) {
    if (binding < 0) continue;
    const ValueInfo& info = network.values[static_cast<std::size_t>(border)];
    const auto elements = static_cast<std::size_t>(info.pixels() * info.pixel_stride) * plan.batch;
    borders_.push_back(network.device.allocate(elements * (info.is_float ? sizeof(float) : element)));
    places_[static_cast<std::size_t>(border)] = borders_.back().as<unsigned char>();
  }
}

Executable::~Executable() = default;

int Executable::computed(int samples) const {
  // Our own kernels take any number of samples.
  if (network.device.products == nullptr) return samples;
  int count = 1;
  while (count < samples) {
    const int half_more = count + count / 2;
    count = half_more >= samples && count > 1 ? half_more : 2 * count;
  }
  return std::min(count, batch_);
}

RunContext Executable::context(const Evaluation& evaluation, const std::vector<unsigned char*>& places) const {
  return {network.values,  places,          network.device.stream.get(), computed(evaluation.batch), evaluation.batch,
          scratch_.data(), evaluation.time, evaluation.labels,           evaluation.sums.data()};
}

DeviceMemory Executable::divert_sums(Evaluation* evaluation) const {
  std::size_t elements = 0;
  for (const Network::Bound& sum : network.sums) {
    const ValueInfo& info = network.values[static_cast<std::size_t>(sum.value)];
    elements = std::max(elements, static_cast<std::size_t>(info.pixels() * info.shape.channels));
  }
  if (elements == 0) return {};
  DeviceMemory memory = network.device.allocate(elements * sizeof(float));
  evaluation->sums.assign(network.sums.size(), memory.as<float>());
  return memory;
}

void Executable::ensure_scratch(int batch) {
  std::size_t bytes = 0;
  std::size_t side_bytes = 0;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const std::size_t needed = network.layers[i]->scratch_bytes(batch);
    bytes = std::max(bytes, needed);
    if (network.joined_by[i] >= 0) side_bytes = std::max(side_bytes, needed);
  }
  if (bytes <= scratch_.bytes() && side_bytes <= side_scratch_.bytes()) return;
  // New memory is allocated before the old is replaced, so that batches prepared before keep theirs if that fails.
  DeviceMemory scratch;
  DeviceMemory side_scratch;
  if (bytes > scratch_.bytes()) scratch = network.device.allocate(bytes);
  if (side_bytes > side_scratch_.bytes()) side_scratch = network.device.allocate(side_bytes);
  network.device.stream.wait();
  graphs.clear();
  if (scratch.data() != nullptr) std::swap(scratch, scratch_);
  if (side_scratch.data() != nullptr) std::swap(side_scratch, side_scratch_);
}

void Executable::warm_up(int batch) {
  const DeviceMemory time = network.device.allocate(static_cast<std::size_t>(batch) * sizeof(float));
  check_cuda(cudaMemsetAsync(time.data(), 0, time.bytes(), network.device.stream.get()), "clearing times");
  Evaluation evaluation;
  evaluation.batch = batch;
  evaluation.time = time.as<float>();
  const DeviceMemory sums = divert_sums(&evaluation);
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const auto& layer = network.layers[i];
    try {
      run_layer(i, context(evaluation, places_));
    } catch (const CardFailure&) {
      throw;
    } catch (const Error&) {
      // A plan that was made may fail to run; our own kernel then replaces it.
      if (!layer->refuse_plan(batch)) throw;
      ensure_scratch(batch);
      run_layer(i, context(evaluation, places_));
    }
  }
  check_launches("preparing a network");
  network.device.stream.wait();
}

void Executable::plan_products(int batch) {
  Products* products = network.device.products.get();
  if (products != nullptr) {
    std::vector<ConvolutionProblem> problems;
    for (const auto& layer : network.layers) layer->list_products(batch, &problems);
    products->prepare(problems);
  }
  for (const auto& layer : network.layers) layer->prepare(batch);
  if (products == nullptr) return;
  products->save();
  network.device.statistics.note(products->statistics());
}

void Executable::prepare(int samples) {
  require(samples >= 1 && samples <= batch_, "the batch is larger than the executable's");
  const int batch = computed(samples);
  if (prepared_.count(batch) != 0) return;
  plan_products(batch);
  choose_ways(batch);
  ensure_scratch(batch);
  warm_up(batch);
  prepared_.insert(batch);
}

void Executable::load_inputs(const Evaluation& evaluation) const {
  const RunContext run = context(evaluation, places_);
  const auto load = [&](int value, const Rows& x, const Rows& y, const UpdateSample* samples) {
    const ValueInfo& info = network.values[static_cast<std::size_t>(value)];
    with_storage(network.device.settings.dtype, [&](auto type) {
      using T = decltype(type);
      load_image<T>(
          {x, y, samples, run.map<T>(value), evaluation.batch, static_cast<int>(info.pixels()), info.shape.channels,
           static_cast<int>(info.pixel_stride), info.shape.varies == DPM_VARIES_GROUP ? evaluation.groups : nullptr},
          run.stream);
    });
  };
  if (network.image.value >= 0) load(network.image.value, evaluation.x, evaluation.y, evaluation.samples);
  for (std::size_t i = 0; i < network.given.size(); ++i) {
    // A run of a program has no given tensors.
    if (evaluation.given[i].data != nullptr) load(network.given[i].value, evaluation.given[i], {}, nullptr);
  }
}

void Executable::store_outputs(const Evaluation& evaluation) const {
  const RunContext run = context(evaluation, places_);
  const auto store = [&](int value, const Rows& rows) {
    // An update's head is a part of the output where the network has no second one.
    if (value < 0 || rows.data == nullptr) return;
    const ValueInfo& info = network.values[static_cast<std::size_t>(value)];
    with_storage(info.is_float ? DType::kFloat32 : network.device.settings.dtype, [&](auto type) {
      using T = decltype(type);
      store_output<T>(
          {run.map<const T>(value), rows, evaluation.batch, static_cast<int>(info.pixels()), info.shape.channels},
          run.stream);
    });
  };
  store(network.output.value, evaluation.out);
  store(network.head.value, evaluation.head);
  for (std::size_t i = 0; i < network.derived.size(); ++i) store(network.derived[i].value, evaluation.derived[i]);
}

const NormOperands* Executable::norm_before(std::size_t index) const {
  const int norm = network.norm_before[index];
  return norm < 0 ? nullptr : network.layers[static_cast<std::size_t>(norm)]->norm();
}

std::vector<std::size_t> Executable::layers_with_ways(int batch) const {
  std::vector<std::size_t> layers;
  if (!network.device.settings.switches.small_convolutions) return layers;
  Evaluation evaluation;
  evaluation.batch = batch;
  const RunContext run = context(evaluation, places_);
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    if (network.layers[i]->has_way(Way::kSmall, norm_before(i), run)) layers.push_back(i);
  }
  return layers;
}

void Executable::choose_way(std::size_t index, int batch, Way way) {
  network.layers[index]->choose(batch, way, norm_before(index));
  if (network.norm_before[index] < 0) return;
  const auto norm = static_cast<std::size_t>(network.norm_before[index]);
  if (way == Way::kSmall) {
    network.taken_over[batch].insert(norm);
  } else {
    network.taken_over[batch].erase(norm);
  }
}

void Executable::choose_ways(int batch) {
  // The choice belongs to the network: another executable of it may have measured already.
  if (!network.taken_over.try_emplace(batch).second) return;
  try {
    for (const std::size_t index : layers_with_ways(batch)) choose_way(index, batch, Way::kSmall);
    ensure_scratch(batch);
    if (network.device.settings.autotune) measure_ways(batch);
  } catch (...) {
    // The choice is undone, so that the next request chooses again.
    network.taken_over.erase(batch);
    throw;
  }
}

void Executable::measure_ways(int batch) {
  Evaluation evaluation;
  evaluation.batch = batch;
  for (const std::size_t index : layers_with_ways(batch)) {
    const auto seconds = [&](Way way) {
      choose_way(index, batch, way);
      ensure_scratch(batch);
      const RunContext run = context(evaluation, places_);
      try {
        return seconds_of([&] {
          if (network.norm_before[index] >= 0) run_layer(static_cast<std::size_t>(network.norm_before[index]), run);
          run_layer(index, run);
        });
      } catch (const CardFailure&) {
        throw;
      } catch (const Error&) {
        return HUGE_VAL;
      }
    };
    const double small = seconds(Way::kSmall);
    if (seconds(Way::kUsual) > small) choose_way(index, batch, Way::kSmall);
  }
}

bool Executable::is_taken_over(std::size_t index, int batch) const {
  const auto found = network.taken_over.find(batch);
  return found != network.taken_over.end() && found->second.count(index) != 0;
}

std::optional<UnfinishedSum> Executable::left_to(std::size_t index, const RunContext& run) const {
  if (!network.device.settings.switches.completions) return std::nullopt;
  if (index == 0 || index == network.layers.size() || !network.norm_follows[index - 1]) return std::nullopt;
  if (network.conditions.is_layer[index - 1] || is_taken_over(index, run.batch)) return std::nullopt;
  RunContext own = run;
  const std::optional<UnfinishedSum> left = network.layers[index - 1]->unfinished(run);
  if (!left) return std::nullopt;
  own.unfinished = *left;
  return network.layers[index]->completes(own) ? left : std::nullopt;
}

void Executable::queue_layer(std::size_t index, const RunContext& run) const {
  if (is_taken_over(index, run.batch)) return;
  RunContext own = run;
  // Layers of the condition path use no plans, so that results equal those computed for all steps at once, to the bit.
  own.without_plans = run.without_plans || network.conditions.is_layer[index];
  own.unfinished = left_to(index, run).value_or(UnfinishedSum());
  own.leaves_sum = left_to(index + 1, run).has_value();
  network.layers[index]->run(own);
}

void Executable::run_layer(std::size_t index, const RunContext& run) const {
  queue_layer(index, run);
  if (!network.device.settings.switches.synchronise) return;
  try {
    check_launches("starting it");
    network.device.stream.wait();
  } catch (const CardFailure& failure) {
    throw CardFailure(network.names[index] + ": " + failure.what());
  }
}

void Executable::queue_layers(const Evaluation& evaluation, const std::vector<unsigned char*>& places,
                              bool conditions) const {
  const RunContext run = context(evaluation, places);
  const bool forks = !network.device.settings.switches.synchronise;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    if (!conditions && network.conditions.is_layer[i]) continue;
    join(i);
    if (forks && network.joined_by[i] >= 0) {
      fork(i, run);
    } else {
      run_layer(i, run);
    }
  }
}

void Executable::fork(std::size_t index, const RunContext& run) const {
  const Device& device = network.device;
  const Branch& branch = branches_.at(index);
  branch.start.record(device.stream);
  device.side.wait_for(branch.start);
  RunContext beside = run;
  beside.stream = device.side.get();
  beside.scratch = side_scratch_.data();
  run_layer(index, beside);
  branch.end.record(device.side);
}

void Executable::join(std::size_t index) const {
  if (network.device.settings.switches.synchronise) return;
  for (const auto& [layer, branch] : branches_) {
    if (network.joined_by[layer] == static_cast<int>(index)) network.device.stream.wait_for(branch.end);
  }
}

void Executable::queue(const Evaluation& evaluation) const {
  load_inputs(evaluation);
  queue_layers(evaluation, places_, true);
  store_outputs(evaluation);
  check_launches("evaluating a network");
}

double Executable::seconds_of(const std::function<void()>& work) const {
  constexpr double kEnough = 1e-3;
  constexpr double kMostRuns = 20;
  const Stream& stream = network.device.stream;
  const Event start;
  const Event end;
  start.record(stream);
  work();
  end.record(stream);
  const double once = end.seconds_since(start);
  try {
    const double runs = std::clamp(kEnough / std::max(once, 1e-9), 1.0, kMostRuns);
    return replayed_seconds(stream, static_cast<int>(runs), [&](int) { work(); });
  } catch (const CardFailure&) {
    throw;
  } catch (const Error&) {
    // Another thread may have invalidated the capture, so the single run counts.
    return once;
  }
}

void Executable::profile(const Evaluation& evaluation, double* node_seconds) const {
  // Repeated runs of a layer would add its sums more than once.
  Evaluation repeated = evaluation;
  const DeviceMemory sums = divert_sums(&repeated);
  const RunContext run = context(repeated, places_);
  load_inputs(evaluation);
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    node_seconds[i] = is_taken_over(i, run.batch) ? 0.0 : seconds_of([&] { queue_layer(i, run); });
  }
  check_launches("profiling a network");
  // Repeated runs of a layer may have changed its inputs, so the outputs are computed again.
  queue(evaluation);
  network.device.stream.wait();
}

void Executable::run(const dpm_bindings& bindings, double* node_seconds) {
  require(bindings.count == network.bindings, "an evaluation binds other tensors than the graph has");
  const Evaluation evaluation = evaluation_of(network, bindings);
  prepare(evaluation.batch);
  if (node_seconds != nullptr) {
    profile(evaluation, node_seconds);
    return;
  }
  const GraphKey key = key_of(evaluation);
  // A capture costs about as much as it saves on one evaluation.
  if (graphs.count(key) < 2) {
    queue(evaluation);
  } else {
    graphs.run(key, [&] { queue(evaluation); });
  }
}

}  // namespace dpm::cuda
