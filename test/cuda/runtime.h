// The part of the CUDA runtime that the backend calls, on the CPU and with the names of cuda_runtime_api.h: device
// memory is host memory in a register of its own, a captured stream keeps its work in a graph, every other one as long
// as CUDA may: until somebody waits for it or frees memory. What forgets to wait sees old numbers.
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

/// When something happened; 0 as long as it has not.
using Moment = std::shared_ptr<double>;

struct CUstream_st;

/// A piece of a stream's work, a moment that comes when all before it is done, or one that what follows waits for.
struct Item {
  enum class Kind { kWork, kRecord, kWait };
  Kind kind = Kind::kWork;
  Work work;
  Moment moment;
  /// Who records the moment that is waited for.
  CUstream_st* recorder = nullptr;
};

/// A captured sequence of work, that of several streams in the order in which it was queued.
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
/// When it was recorded last. Every record is a moment of its own, which the queue shares: an event may be recorded
/// again, or destroyed, before the first has come.
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

/// Queues `work` on `stream`, null for the default one, or keeps it in the graph that it is being captured into.
void submit(cudaStream_t stream, Work work);

/// What the emulated device has been asked for since the last `reset_counters`.
struct Counters {
  std::uint64_t kernels = 0;  ///< launched or replayed
  std::uint64_t graph_launches = 0;
  std::uint64_t captures = 0;
  std::uint64_t allocations = 0;  ///< of device and pinned memory
  std::uint64_t refused = 0;      ///< of these, by `fail_allocations`
  std::uint64_t synchronisations = 0;
  std::uint64_t uploads = 0;
  std::uint64_t uploaded = 0;  ///< bytes from the host
  std::int64_t handles = 0;    ///< streams, graphs and events that there are; `reset_counters` leaves them
};
Counters counters();
void reset_counters();

/// Lets the emulated device hold at most `bytes`; the default is 8 GiB.
void limit_memory(std::size_t bytes);
/// Lets it pin at most `bytes` of the host's memory at a time; without a limit until it is called.
void limit_pinned(std::size_t bytes);
/// Of the allocations of device and pinned memory, `count` fail when `after` more have succeeded.
void fail_allocations(std::uint64_t after, std::uint64_t count);
/// Ends the process where anybody has written beside an allocation, or into freed memory that is still kept.
void check_memory();
/// Makes every piece of work take so many seconds more by the card's clock.
void linger(double seconds);
/// From the call `after` on every kernel launch and synchronisation fails with `error`, as after an illegal access.
void break_device(cudaError_t error, std::uint64_t after = 0);
void repair_device();
/// The next `count` captures fail, as when another thread waits for the whole card.
void invalidate_captures(int count);
/// When what one stream does beside another comes: as late as it may, as early, or piece by piece between the other's.
enum class BranchOrder { kLate, kEarly, kInterleaved };
void set_branch_order(BranchOrder order);
/// Work that streams hold and have not done.
std::size_t queued();

}  // namespace dpm::simt
