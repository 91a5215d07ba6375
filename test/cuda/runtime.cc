#include "runtime.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "allocations.h"

namespace {

using dpm::simt::BranchOrder;

struct Emulated {
  std::mutex mutex;
  /// Mutex of streams and their work, held by every caller that uses them: freeing memory waits for the work of other
  /// threads.
  std::recursive_mutex work_mutex;
  CUstream_st default_stream;
  std::set<CUstream_st*> streams{&default_stream};
  dpm::simt::Allocations memory;
  dpm::simt::Counters counters;
  std::atomic<std::int64_t> handles{0};
  cudaError_t broken = cudaSuccess;
  std::uint64_t calls_left = 0;
  cudaError_t last = cudaSuccess;
  int invalid_captures = 0;
  std::atomic<BranchOrder> branch_order{BranchOrder::kLate};
  std::atomic<double> linger{0};
  std::atomic<double> lingered{0};
};

Emulated& emulated() {
  static Emulated state;
  return state;
}

cudaError_t fail(cudaError_t error) {
  emulated().last = error;
  return error;
}

/// Returns whether the device still works; counts one call.
bool works() {
  Emulated& state = emulated();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.broken == cudaSuccess) return true;
  if (state.calls_left > 0) {
    --state.calls_left;
    return true;
  }
  state.last = state.broken;
  return false;
}

/// Creates an object; streams, graphs and events are counted from here to `destroy`.
template <typename T>
T* make() {
  ++emulated().handles;
  return std::make_unique<T>().release();
}

template <typename T>
void destroy(T* handle) {
  if (handle != nullptr) --emulated().handles;
  std::unique_ptr<T>{handle}.reset();
}

CUstream_st& stream_of(cudaStream_t stream) { return stream == nullptr ? emulated().default_stream : *stream; }

double now() {
  const double real = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  return real + emulated().lingered;
}

void run_ready(const CUstream_st& recorder, std::size_t most);

/// Runs the first item of a stream. An awaited moment makes its stream run until it has come.
void run_first(CUstream_st& stream);

/// Runs queued work as long as `goes_on`.
template <typename GoesOn>
void run_queue(CUstream_st& stream, const GoesOn& goes_on) {
  const std::lock_guard<std::recursive_mutex> lock(emulated().work_mutex);
  while (!stream.queue.empty() && goes_on()) run_first(stream);
}

void run_first(CUstream_st& stream) {
  const Item item = std::move(stream.queue.front());
  stream.queue.pop_front();
  if (item.kind == Item::Kind::kRecord) *item.moment = now();
  if (item.kind == Item::Kind::kWait && *item.moment == 0) {
    run_queue(*item.recorder, [&] { return *item.moment == 0; });
  }
  if (item.kind == Item::Kind::kWork) {
    item.work();
    emulated().lingered = emulated().lingered + emulated().linger;
  }
  const BranchOrder order = emulated().branch_order;
  if (order == BranchOrder::kEarly && item.kind == Item::Kind::kRecord) run_ready(stream, SIZE_MAX);
  if (order == BranchOrder::kInterleaved && item.kind == Item::Kind::kWork) run_ready(stream, 1);
}

/// Runs up to `most` pieces of work that other streams can do without waiting.
void run_ready(const CUstream_st& recorder, std::size_t most) {
  for (CUstream_st* other : emulated().streams) {
    if (other == &recorder) continue;
    const auto waits = [&] {
      const Item& next = other->queue.front();
      return next.kind == Item::Kind::kWait && *next.moment == 0;
    };
    std::size_t done = 0;
    while (done < most && !other->queue.empty() && !waits()) {
      done += other->queue.front().kind == Item::Kind::kWork ? 1 : 0;
      run_first(*other);
    }
  }
}

void finish(CUstream_st& stream) {
  run_queue(stream, [] { return true; });
}

void finish_all() {
  const std::lock_guard<std::recursive_mutex> lock(emulated().work_mutex);
  for (CUstream_st* stream : emulated().streams) finish(*stream);
}

/// Queues an item, or adds it to the graph that the stream is being captured into.
void queue(CUstream_st& stream, Item item) {
  if (stream.capture != nullptr) {
    stream.capture->nodes.push_back({&stream, std::move(item)});
    return;
  }
  const std::lock_guard<std::recursive_mutex> lock(emulated().work_mutex);
  stream.queue.push_back(std::move(item));
}

cudaError_t allocate(void** address, std::size_t bytes, bool on_device) {
  *address = bytes == 0 ? nullptr : emulated().memory.allocate(bytes, on_device);
  return bytes > 0 && *address == nullptr ? fail(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t release(void* address, bool on_device) {
  if (address == nullptr) return cudaSuccess;
  // Freeing memory of the GPU waits for all its work; freeing pinned memory need not.
  if (on_device) finish_all();
  return emulated().memory.release(address, on_device) ? cudaSuccess : fail(cudaErrorInvalidValue);
}

bool is_valid(const void* address, std::size_t bytes, bool on_device) {
  return emulated().memory.holds(address, bytes, on_device);
}

/// Ends the process where the memory of queued or captured work has been freed since.
void require_valid(const void* address, std::size_t bytes, bool on_device) {
  if (!is_valid(address, bytes, on_device)) dpm::simt::stop_at("a copy or memset in memory that was freed");
}

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  int driver = 0;
  int runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  // Any driver supports any runtime of the same major version.
  if (driver / 1000 < runtime / 1000) return fail(cudaErrorInsufficientDriver);
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : fail(cudaErrorInvalidDevice); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return fail(cudaErrorInvalidDevice);
  *properties = {"emulated device", emulated().memory.total(), 9, 0, 132};
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  const char* chosen = std::getenv("DPM_EMULATED_DRIVER");
  *version = chosen == nullptr ? 13000 : std::stoi(chosen);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total) {
  *total = emulated().memory.total();
  *available = emulated().memory.available();
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** address, std::size_t bytes) { return allocate(address, bytes, true); }
cudaError_t cudaFree(void* address) { return release(address, true); }
cudaError_t cudaMallocHost(void** address, std::size_t bytes) { return allocate(address, bytes, false); }
cudaError_t cudaFreeHost(void* address) { return release(address, false); }

cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!is_valid(target, bytes, kind != cudaMemcpyDeviceToHost) ||
      !is_valid(source, bytes, kind != cudaMemcpyHostToDevice)) {
    return fail(cudaErrorInvalidValue);
  }
  if (kind == cudaMemcpyHostToDevice) {
    ++emulated().counters.uploads;
    emulated().counters.uploaded += bytes;
  }
  if (kind == cudaMemcpyHostToDevice && !emulated().memory.is_pinned(source)) {
    // The driver has read pageable memory, or written it, when the call returns.
    const auto* begin = static_cast<const unsigned char*>(source);
    const std::vector<unsigned char> read(begin, begin + bytes);
    dpm::simt::submit(stream, [=] {
      require_valid(target, bytes, true);
      std::memcpy(target, read.data(), bytes);
    });
    return cudaSuccess;
  }
  dpm::simt::submit(stream, [=] {
    require_valid(target, bytes, kind != cudaMemcpyDeviceToHost);
    require_valid(source, bytes, kind != cudaMemcpyHostToDevice);
    std::memcpy(target, source, bytes);
  });
  if (kind == cudaMemcpyDeviceToHost && !emulated().memory.is_pinned(target)) finish(stream_of(stream));
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* target, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!is_valid(target, bytes, true)) return fail(cudaErrorInvalidValue);
  dpm::simt::submit(stream, [=] {
    require_valid(target, bytes, true);
    std::memset(target, value, bytes);
  });
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  finish_all();
  return works() ? cudaSuccess : emulated().broken;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  *stream = make<CUstream_st>();
  const std::lock_guard<std::recursive_mutex> lock(emulated().work_mutex);
  emulated().streams.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  finish(*stream);
  const std::lock_guard<std::recursive_mutex> lock(emulated().work_mutex);
  emulated().streams.erase(stream);
  destroy(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  ++emulated().counters.synchronisations;
  if (stream->capture != nullptr) return fail(cudaErrorStreamCaptureUnsupported);
  finish(*stream);
  return works() ? cudaSuccess : emulated().broken;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  if (event->stream == nullptr) return cudaSuccess;
  // A stream that waits for a captured event is captured, too.
  if (event->stream->capture != nullptr) stream->capture = event->stream->capture;
  queue(*stream, {Item::Kind::kWait, {}, event->moment, event->stream});
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  ++emulated().counters.captures;
  stream->capture = make<CUgraph_st>();
  stream->capture->origin = stream;
  return cudaSuccess;
}

namespace {

/// Returns whether every other stream of a capture has been waited for after its last work.
bool is_joined(const CUgraph_st& graph) {
  std::map<const CUstream_st*, bool> joined;
  std::map<const double*, const CUstream_st*> recorders;
  for (const auto& [stream, item] : graph.nodes) {
    if (item.kind == Item::Kind::kWork) joined[stream] = false;
    if (item.kind == Item::Kind::kRecord) recorders[item.moment.get()] = stream;
    if (item.kind == Item::Kind::kWait && stream == graph.origin) joined[recorders[item.moment.get()]] = true;
  }
  joined.erase(graph.origin);
  return std::all_of(joined.begin(), joined.end(), [](const auto& each) { return each.second; });
}

}  // namespace

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = std::exchange(stream->capture, nullptr);
  {
    const std::lock_guard<std::recursive_mutex> lock(emulated().work_mutex);
    for (CUstream_st* other : emulated().streams) {
      if (other->capture == *graph) other->capture = nullptr;
    }
  }
  if (*graph != nullptr && !is_joined(**graph)) {
    (void)cudaGraphDestroy(std::exchange(*graph, nullptr));
    return fail(cudaErrorStreamCaptureUnjoined);
  }
  if (emulated().invalid_captures > 0) {
    --emulated().invalid_captures;
    (void)cudaGraphDestroy(std::exchange(*graph, nullptr));
    return fail(cudaErrorStreamCaptureInvalidated);
  }
  return *graph != nullptr ? cudaSuccess : fail(cudaErrorInvalidValue);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long /*flags*/) {
  *executable = make<CUgraphExec_st>();
  (*executable)->origin = graph->origin;
  (*executable)->nodes = graph->nodes;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* /*nodes*/, std::size_t* count) {
  const auto is_work = [](const CUgraph_st::Node& node) { return node.item.kind == Item::Kind::kWork; };
  *count = static_cast<std::size_t>(std::count_if(graph->nodes.begin(), graph->nodes.end(), is_work));
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  ++emulated().counters.graph_launches;
  if (!works()) return emulated().broken;
  // Every launch has moments of its own.
  std::map<const double*, Moment> moments;
  for (const auto& [of, captured] : executable->nodes) {
    Item item = captured;
    CUstream_st& target = of == executable->origin ? stream_of(stream) : *of;
    if (item.recorder == executable->origin) item.recorder = &stream_of(stream);
    if (item.kind == Item::Kind::kWork) {
      dpm::simt::submit(&target, std::move(item.work));
      continue;
    }
    Moment& moment = moments[captured.moment.get()];
    if (!moment) moment = std::make_shared<double>(0);
    item.moment = moment;
    queue(target, std::move(item));
  }
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  destroy(executable);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  destroy(graph);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = make<CUevent_st>();
  (*event)->is_timed = (flags & cudaEventDisableTiming) == 0;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  destroy(event);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = &stream_of(stream);
  event->moment = std::make_shared<double>(0);
  queue(*event->stream, {Item::Kind::kRecord, {}, event->moment, event->stream});
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  ++emulated().counters.synchronisations;
  // Later work of the stream may still be queued.
  if (event->stream != nullptr) run_queue(*event->stream, [&] { return *event->moment == 0; });
  return works() ? cudaSuccess : emulated().broken;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (!start->is_timed || !end->is_timed) return fail(cudaErrorInvalidValue);
  if (*start->moment == 0 || *end->moment == 0) return fail(cudaErrorNotReady);
  *milliseconds = static_cast<float>((*end->moment - *start->moment) * 1e3);
  return cudaSuccess;
}

cudaError_t cudaGetLastError() { return std::exchange(emulated().last, cudaSuccess); }

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    default:
      return "cudaError";
  }
}

const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "an error of the emulated device";
}

namespace dpm::simt {

void submit(cudaStream_t stream, Work work) {
  CUstream_st& queued_on = stream_of(stream);
  if (queued_on.capture == nullptr) {
    ++emulated().counters.kernels;
    if (!works()) return;
  }
  queue(queued_on, {Item::Kind::kWork, std::move(work), {}, nullptr});
}

Counters counters() {
  Counters result = emulated().counters;
  result.allocations = emulated().memory.count();
  result.refused = emulated().memory.refused();
  result.handles = emulated().handles;
  return result;
}
void reset_counters() {
  emulated().counters = {};
  emulated().memory.reset_counts();
}
void limit_memory(std::size_t bytes) { emulated().memory.limit(bytes); }
void limit_pinned(std::size_t bytes) { emulated().memory.limit_pinned(bytes); }

void fail_allocations(std::uint64_t after, std::uint64_t count) { emulated().memory.fail(after, count); }

void check_memory() { emulated().memory.check(); }

void break_device(cudaError_t error, std::uint64_t after) {
  Emulated& state = emulated();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.broken = error;
  state.calls_left = after;
}

void repair_device() { break_device(cudaSuccess); }
void invalidate_captures(int count) { emulated().invalid_captures = count; }

void linger(double seconds) { emulated().linger = seconds; }

void set_branch_order(BranchOrder order) { emulated().branch_order = order; }

std::size_t queued() {
  const std::lock_guard<std::recursive_mutex> lock(emulated().work_mutex);
  std::size_t count = 0;
  for (CUstream_st* stream : emulated().streams) {
    count += stream->queue.size();
  }
  return count;
}

}  // namespace dpm::simt
