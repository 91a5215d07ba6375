#include "cuda/dnn/timing.h"

#include <memory>

#include "cuda/products/convolution_operands.h"
#include "cuda/runtime/replay.h"

namespace dpm::cuda {

ConvolutionTimer convolution_timer(const Stream& stream, cudnnHandle_t handle, const ConvolutionProblem& problem,
                                   const ConvolutionRest& rest) {
  // Operands are made at the first timing, because a remembered plan is not timed.
  const auto kept = std::make_shared<std::unique_ptr<ConvolutionOperands>>();
  return [&stream, handle, problem, rest, kept](const Convolution& convolution) {
    if (!*kept) *kept = std::make_unique<ConvolutionOperands>(stream, problem);
    const ConvolutionOperands& operands = **kept;
    const DeviceMemory workspace = (*kept)->allocate(static_cast<std::size_t>(convolution.workspace_bytes()));
    return replayed_seconds_within(stream, operands.runs(), kTrialSeconds, [&](int i) {
      const ConvolutionBuffers buffers = operands.buffers(i, workspace);
      convolution.run(handle, buffers);
      rest(buffers, convolution.result());
    });
  };
}

}  // namespace dpm::cuda
