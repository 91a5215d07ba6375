// The part of the CUDA runtime that the backend calls, on the CPU and with the names of cuda_runtime_api.h. Device
// memory is host memory in a register of its own. A captured stream keeps its work in a graph; every other stream keeps
// it as long as CUDA may: until a caller waits for it or frees memory. Code that forgets to wait reads old numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "simt.h"

enum cudaError_t : int {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorECCUncorrectable = 214,
  cudaErrorNvlinkUncorrectable = 220,
  cudaErrorContained = 226,
  cudaErrorNotReady = 600,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchTimeout = 702,
  cudaErrorContextIsDestroyed = 709,
  cudaErrorAssert = 710,
  cudaErrorHardwareStackError = 714,
  cudaErrorIllegalInstruction = 715,
  cudaErrorMisalignedAddress = 716,
  cudaErrorInvalidAddressSpace = 717,
  cudaErrorInvalidPc = 718,
  cudaErrorLaunchFailure = 719,
  cudaErrorTensorMemoryLeak = 721,
  cudaErrorMpsClientTerminated = 810,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
  cudaErrorStreamCaptureUnjoined = 904,
  cudaErrorUnknown = 999,
};
enum cudaMemcpyKind : int { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaStreamCaptureMode : int { cudaStreamCaptureModeThreadLocal = 1 };
enum cudaDeviceAttr : int {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
};
constexpr unsigned cudaStreamNonBlocking = 1;
constexpr unsigned cudaMemAttachGlobal = 1;
constexpr unsigned cudaEventDefault = 0;
constexpr unsigned cudaEventBlockingSync = 1;
constexpr unsigned cudaEventDisableTiming = 2;

struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
  int major;
  int minor;
  int multiProcessorCount;
};

using Work = std::function<void()>;

/// The time of an event; 0 until it has happened.
using Moment = std::shared_ptr<double>;

struct CUstream_st;

/// A piece of a stream's work, a moment that comes when all work before it is done, or a moment that the following work
/// waits for.
struct Item {
  enum class Kind { kWork, kRecord, kWait };
  Kind kind = Kind::kWork;
  Work work;
  Moment moment;
  /// The stream that records the awaited moment.
  CUstream_st* recorder = nullptr;
};

/// A captured sequence of work; work of several streams is in the order in which it was queued.
struct CUgraph_st {
  struct Node {
    CUstream_st* stream;
    Item item;
  };
  CUstream_st* origin = nullptr;
  std::vector<Node> nodes;
};
struct CUgraphExec_st {
  CUstream_st* origin = nullptr;
  std::vector<CUgraph_st::Node> nodes;
};
struct CUgraphNode_st;
struct CUstream_st {
  CUgraph_st* capture = nullptr;
  std::deque<Item> queue;
};
/// The moment of the last record. Every record is a moment of its own, which the queue shares: an event may be recorded
/// again, or destroyed, before the first moment has come.
struct CUevent_st {
  Moment moment = std::make_shared<double>(0);
  CUstream_st* stream = nullptr;
  bool is_timed = true;
};
using cudaGraph_t = CUgraph_st*;
using cudaGraphExec_t = CUgraphExec_st*;
using cudaGraphNode_t = CUgraphNode_st*;
using cudaEvent_t = CUevent_st*;

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total);
cudaError_t cudaMalloc(void** address, std::size_t bytes);
cudaError_t cudaFree(void* address);
cudaError_t cudaMallocHost(void** address, std::size_t bytes);
cudaError_t cudaFreeHost(void* address);
cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* target, int value, std::size_t bytes, cudaStream_t stream);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end);
cudaError_t cudaGetLastError();
const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);

namespace dpm::simt {

/// Queues `work` on `stream`, null for the default one, or adds it to the graph that it is being captured into.
void submit(cudaStream_t stream, Work work);

/// Counts of the emulated device's calls since the last `reset_counters`.
struct Counters {
  std::uint64_t kernels = 0;  ///< kernels launched or replayed
  std::uint64_t graph_launches = 0;
  std::uint64_t captures = 0;
  std::uint64_t allocations = 0;  ///< allocations of device and pinned memory
  std::uint64_t refused = 0;      ///< number of these refused by `fail_allocations`
  std::uint64_t synchronisations = 0;
  std::uint64_t uploads = 0;
  std::uint64_t uploaded = 0;  ///< bytes copied from the host
  std::int64_t handles = 0;    ///< number of existing streams, graphs and events, which `reset_counters` leaves
                               ///< unchanged
};
Counters counters();
void reset_counters();

/// Limits the emulated device's memory to `bytes`; the default is 8 GiB.
void limit_memory(std::size_t bytes);
/// Limits the host's pinned memory to `bytes` at a time; there is no limit before the first call.
void limit_pinned(std::size_t bytes);
/// Makes `count` allocations of device and pinned memory fail after `after` more have succeeded.
void fail_allocations(std::uint64_t after, std::uint64_t count);
/// Ends the process if anything was written beside an allocation, or into freed memory that is still kept.
void check_memory();
/// Makes every piece of work take `seconds` more by the GPU's clock.
void linger(double seconds);
/// Makes every kernel launch and synchronisation from call `after` on fail with `error`, as after an illegal access.
void break_device(cudaError_t error, std::uint64_t after = 0);
void repair_device();
/// Makes the next `count` captures fail, as when another thread waits for the whole GPU.
void invalidate_captures(int count);
/// The time at which a stream's work beside another's runs: as late as it may, as early, or piece by piece between the
/// other's.
enum class BranchOrder { kLate, kEarly, kInterleaved };
void set_branch_order(BranchOrder order);
/// Returns the amount of queued work that streams have not done.
std::size_t queued();

}  // namespace dpm::simt
