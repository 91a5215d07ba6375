#include "cuda/dnn/timing.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "cuda/runtime/check.h"
#include "cuda/runtime/memory.h"

namespace dpm::cuda {
namespace {

constexpr int kRuns = 5;

/// Zeros for every operand of a problem.
struct Operands {
  explicit Operands(const ConvolutionProblem& problem)
      : x(count, image_bytes(problem, problem.in_height, problem.in_width, problem.in_pixel_stride)),
        w(count, static_cast<std::size_t>(problem.out_channels) * static_cast<std::size_t>(problem.kernel) *
                     static_cast<std::size_t>(problem.kernel) * static_cast<std::size_t>(problem.in_channels) *
                     dtype_size(problem.dtype)),
        bias(count, static_cast<std::size_t>(problem.out_channels) * sizeof(float)),
        residual(count, problem.residual
                            ? image_bytes(problem, problem.out_height, problem.out_width, problem.residual_pixel_stride)
                            : 0),
        out(count, image_bytes(problem, problem.out_height, problem.out_width, problem.out_pixel_stride)) {}

  static std::size_t image_bytes(const ConvolutionProblem& problem, int height, int width, std::int64_t pixel_stride) {
    return static_cast<std::size_t>(problem.batch) * static_cast<std::size_t>(height) *
           static_cast<std::size_t>(width) * static_cast<std::size_t>(pixel_stride) * dtype_size(problem.dtype);
  }

  void clear(const Stream& stream) const {
    for (const DeviceMemory* memory : {&x, &w, &bias, &residual}) {
      if (memory->bytes() == 0) continue;
      check_cuda(cudaMemsetAsync(memory->data(), 0, memory->bytes(), stream.get()), "clearing operands");
    }
  }

  MemoryCount count;
  DeviceMemory x, w, bias, residual, out;
};

}  // namespace

ConvolutionTimer convolution_timer(const Stream& stream, cudnnHandle_t handle, const ConvolutionProblem& problem) {
  // A plan that is remembered is not timed, and needs no operands.
  const auto operands = std::make_shared<std::unique_ptr<Operands>>();
  return [&stream, handle, problem, operands_ = operands](const Convolution& convolution) {
    std::unique_ptr<Operands>& operands = *operands_;
    if (!operands) {
      operands = std::make_unique<Operands>(problem);
      operands->clear(stream);
    }
    const DeviceMemory workspace(operands->count, static_cast<std::size_t>(convolution.workspace_bytes()));
    const ConvolutionBuffers buffers{operands->x.data(),        operands->w.data(),   operands->bias.data(),
                                     operands->residual.data(), operands->out.data(), workspace.data()};
    convolution.run(handle, buffers);
    const Event start;
    const Event end;
    double best = HUGE_VAL;
    for (int i = 0; i < kRuns; ++i) {
      start.record(stream);
      convolution.run(handle, buffers);
      end.record(stream);
      best = std::min(best, end.seconds_since(start));
    }
    return best;
  };
}

}  // namespace dpm::cuda
