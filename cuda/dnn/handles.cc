#include "cuda/dnn/handles.h"

#include <mutex>
#include <shared_mutex>

#include "core/error.h"
#include "cuda/dnn/descriptor.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

Handle::Handle(const CudnnLibrary& library, cudaStream_t stream) : library_(library), stream_(stream) {
  {
    const std::unique_lock<std::shared_mutex> nobody_captures(capture_mutex());
    check_cudnn(library, library.create(&handle_), "creating the handle");
  }
  const cudnnStatus_t status = library.set_stream(handle_, stream);
  if (status != CUDNN_STATUS_SUCCESS) destroy();
  check_cudnn(library, status, "setting the stream");
}

Handle::~Handle() { destroy(); }

void Handle::destroy() {
  const std::unique_lock<std::shared_mutex> nobody_captures(capture_mutex());
  library_.destroy(handle_);
}

cudnnHandle_t Handles::on(cudaStream_t stream) const {
  for (const Handle* handle : {&main_, &side_}) {
    if (handle->stream() == stream) return handle->get();
  }
  throw Error(ErrorCode::kInternal, "cuDNN has no handle for this stream");
}

}  // namespace dpm::cuda
