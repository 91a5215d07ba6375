// Handles of cuDNN.
#pragma once

#include <cudnn.h>

#include "cuda/dnn/library.h"
#include "cuda/runtime/api.h"

namespace dpm::cuda {

/// A handle on the current device whose work goes to the same stream for its lifetime. It is made and destroyed while
/// no thread captures.
class Handle {
 public:
  Handle(const CudnnLibrary& library, cudaStream_t stream);
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  [[nodiscard]] cudnnHandle_t get() const { return handle_; }
  [[nodiscard]] cudaStream_t stream() const { return stream_; }

 private:
  void destroy();

  const CudnnLibrary& library_;
  cudaStream_t stream_;
  cudnnHandle_t handle_ = nullptr;
};

/// One handle for each stream of a device: none ever changes its stream, least of all during a capture.
class Handles {
 public:
  Handles(const CudnnLibrary& library, cudaStream_t stream, cudaStream_t side)
      : main_(library, stream), side_(library, side) {}

  [[nodiscard]] const Handle& main() const { return main_; }
  /// Returns the handle of a stream. Throws Error(kInternal) for a stream that is neither of the two.
  [[nodiscard]] cudnnHandle_t on(cudaStream_t stream) const;

 private:
  Handle main_;
  Handle side_;
};

}  // namespace dpm::cuda
