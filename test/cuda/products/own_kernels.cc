#include "own_kernels.h"

#include <type_traits>

#include "core/error.h"
#include "cuda/kernels/adjoint_weights.h"
#include "cuda/kernels/attention.h"
#include "cuda/kernels/convolution.h"
#include "cuda/kernels/small_convolution.h"
#include "cuda/layers/convolution_rest.h"

namespace dpm::cuda {
namespace {

template <typename T>
Map<T> map(const void* data, std::int64_t pixel_stride, std::int64_t pixels) {
  return {static_cast<T*>(const_cast<void*>(data)), pixel_stride, pixel_stride * pixels};
}

std::int64_t in_pixels(const ConvolutionProblem& p) { return std::int64_t{p.in_height} * p.in_width; }
std::int64_t out_pixels(const ConvolutionProblem& p) { return std::int64_t{p.out_height} * p.out_width; }

/// Fills in the common operands of all kernels for a convolution.
template <typename T, typename Arguments>
void set_operands(const ConvolutionProblem& p, const ConvolutionBuffers& buffers, Arguments* a) {
  a->x = map<const T>(buffers.x, p.in_pixel_stride, in_pixels(p));
  a->weight = static_cast<const T*>(buffers.w);
  a->y = map<T>(buffers.out, p.out_pixel_stride, out_pixels(p));
  a->bias = static_cast<const float*>(buffers.bias);
  a->residual = map<const T>(buffers.residual, p.residual_pixel_stride, out_pixels(p));
  a->scale = p.scale;
  a->silu = p.silu;
}

template <typename T>
ConvolutionArguments<T> own_arguments(const ConvolutionProblem& p, const ConvolutionBuffers& buffers) {
  ConvolutionArguments<T> a{};
  set_operands<T>(p, buffers, &a);
  a.batch = p.batch;
  a.in_height = p.in_height;
  a.in_width = p.in_width;
  a.in_channels = p.in_channels;
  a.out_height = p.out_height;
  a.out_width = p.out_width;
  a.out_channels = p.out_channels;
  a.kernel = p.kernel;
  a.stride = p.stride;
  a.pad_before = p.pad_before;
  a.enlargement = p.zero_upsample ? Enlargement::kZeros : Enlargement::kNone;
  return a;
}

template <typename T>
AttentionArguments<T> own_arguments(const AttentionProblem& p, const AttentionBuffers& buffers) {
  AttentionArguments<T> a{};
  a.q = map<const T>(buffers.q, p.q_token_stride, p.query_tokens);
  a.k = map<const T>(buffers.k, p.k_token_stride, p.key_tokens);
  a.v = map<const T>(buffers.v, p.v_token_stride, p.key_tokens);
  a.out = map<T>(buffers.out, p.out_token_stride, p.query_tokens);
  a.batch = p.batch;
  a.heads = p.heads;
  a.query_tokens = p.query_tokens;
  a.key_tokens = p.key_tokens;
  a.width = p.width;
  a.scale = p.scale;
  return a;
}

SmallConvolutionShape small_shape(const ConvolutionProblem& p) {
  return {p.batch,  p.in_height,  p.in_width, p.in_channels, p.out_height, p.out_width, p.out_channels, p.kernel,
          p.stride, p.pad_before, 0};
}

template <typename T>
SmallConvolutionArguments<T> small_arguments(const ConvolutionProblem& p, const ConvolutionBuffers& buffers,
                                             unsigned* counters) {
  SmallConvolutionArguments<T> a{};
  a.shape = small_shape(p);
  set_operands<T>(p, buffers, &a);
  a.workspace = static_cast<float*>(buffers.workspace);
  a.counters = counters;
  return a;
}

}  // namespace

void run_own(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers, cudaStream_t stream) {
  with_storage(problem.dtype, [&](auto type) { convolution(own_arguments<decltype(type)>(problem, buffers), stream); });
}

void run_own(const AttentionProblem& problem, const AttentionBuffers& buffers, cudaStream_t stream) {
  if (problem.width > kWidestHead) throw Error(ErrorCode::kUnsupported, "our own kernel takes no head so wide");
  with_storage(problem.dtype, [&](auto type) { attention(own_arguments<decltype(type)>(problem, buffers), stream); });
}

bool takes_small(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers) {
  if (problem.zero_upsample) return false;
  return with_storage(problem.dtype, [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_same_v<T, float>) {
      return false;
    } else {
      return takes_small_convolution(small_arguments<T>(problem, buffers, nullptr));
    }
  });
}

std::size_t small_workspace_bytes(const ConvolutionProblem& problem) {
  return static_cast<std::size_t>(small_convolution_workspace(small_shape(problem))) * sizeof(float);
}

std::size_t small_counter_bytes(const ConvolutionProblem& problem) {
  return static_cast<std::size_t>(small_convolution_counters(small_shape(problem))) * sizeof(unsigned);
}

void run_small(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers, unsigned* counters,
               cudaStream_t stream) {
  with_storage(problem.dtype, [&](auto type) {
    using T = decltype(type);
    if constexpr (!std::is_same_v<T, float>) small_convolution(small_arguments<T>(problem, buffers, counters), stream);
  });
}

void make_adjoint(const ConvolutionProblem& problem, const void* weights, void* adjoint, cudaStream_t stream) {
  const WeightShape shape{problem.out_channels, problem.kernel * problem.kernel, problem.in_channels};
  with_storage(problem.dtype, [&](auto type) {
    using T = decltype(type);
    adjoint_weights(static_cast<const T*>(weights), shape, static_cast<T*>(adjoint), stream);
  });
}

void run_rest(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers, const ConvolutionResult& result,
              cudaStream_t stream) {
  with_storage(problem.dtype, [&](auto type) {
    ConvolutionRestArguments<decltype(type)> rest{};
    rest.batch = problem.batch;
    rest.pixels = static_cast<int>(out_pixels(problem));
    rest.channels = problem.out_channels;
    rest.out_pixel_stride = problem.out_pixel_stride;
    rest.residual_pixel_stride = problem.residual_pixel_stride;
    rest.scale = problem.scale;
    rest.silu = problem.silu;
    finish_convolution(rest, buffers, result, stream);
  });
}

}  // namespace dpm::cuda
