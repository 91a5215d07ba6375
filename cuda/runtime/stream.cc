#include "cuda/runtime/stream.h"

#include <mutex>
#include <utility>

#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// A captured graph that is destroyed at the end of the scope.
struct Captured {
  cudaGraph_t graph = nullptr;
  ~Captured() {
    if (graph != nullptr) (void)cudaGraphDestroy(graph);
  }
};

}  // namespace

std::shared_mutex& capture_mutex() {
  static std::shared_mutex mutex;
  return mutex;
}

Stream::Stream() { check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream"); }

Stream::~Stream() {
  const std::unique_lock<std::shared_mutex> nobody_captures(capture_mutex());
  (void)cudaStreamDestroy(stream_);
}

void Stream::wait() const { check_cuda(cudaStreamSynchronize(stream_), "waiting for the device"); }

void Stream::wait_for(const Event& event) const {
  check_cuda(cudaStreamWaitEvent(stream_, event.event_, 0), "ordering streams");
}

Graph Stream::capture(const std::function<void()>& body) const {
  const std::shared_lock<std::shared_mutex> capturing(capture_mutex());
  // The capture is limited to this thread, because a global one would forbid allocations of other engines' threads.
  check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capturing a graph");
  Captured captured;
  try {
    body();
  } catch (...) {
    (void)cudaStreamEndCapture(stream_, &captured.graph);
    (void)cudaGetLastError();
    throw;
  }
  check_cuda(cudaStreamEndCapture(stream_, &captured.graph), "capturing a graph");
  std::size_t nodes = 0;
  check_cuda(cudaGraphGetNodes(captured.graph, nullptr, &nodes), "counting a graph's nodes");
  cudaGraphExec_t executable = nullptr;
  check_cuda(cudaGraphInstantiate(&executable, captured.graph, 0), "preparing a graph");
  return {executable, nodes};
}

Graph::~Graph() {
  if (executable_ != nullptr) (void)cudaGraphExecDestroy(executable_);
}

Graph::Graph(Graph&& other) noexcept : executable_(std::exchange(other.executable_, nullptr)), nodes_(other.nodes_) {}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(executable_, other.executable_);
  std::swap(nodes_, other.nodes_);
  return *this;
}

void Graph::launch(const Stream& stream) const {
  check_cuda(cudaGraphLaunch(executable_, stream.get()), "launching a graph");
}

Event::Event(EventUse use) {
  const bool is_timed = use == EventUse::kTiming || use == EventUse::kTimedWaiting;
  unsigned flags = is_timed ? cudaEventDefault : cudaEventDisableTiming;
  if (use == EventUse::kWaiting || use == EventUse::kTimedWaiting) flags |= cudaEventBlockingSync;
  check_cuda(cudaEventCreateWithFlags(&event_, flags), "creating an event");
}

Event::~Event() {
  if (event_ != nullptr) (void)cudaEventDestroy(event_);
}

Event::Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}

void Event::record(const Stream& stream) const { check_cuda(cudaEventRecord(event_, stream.get()), "recording"); }

void Event::wait() const { check_cuda(cudaEventSynchronize(event_), "waiting for the device"); }

double Event::seconds_since(const Event& start) const {
  wait();
  float milliseconds = 0;
  check_cuda(cudaEventElapsedTime(&milliseconds, start.event_, event_), "reading the card's clock");
  return static_cast<double>(milliseconds) * 1e-3;
}

}  // namespace dpm::cuda
