// Who multiplies: the convolutions and attentions that a vendor's library (cuda/dnn) computes faster than our own
// kernels.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda/products/attention_problem.h"
#include "cuda/products/convolution_problem.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// Device addresses of one convolution. What it does not read may be null.
struct ConvolutionBuffers {
  const void* x = nullptr;
  const void* w = nullptr;
  const void* bias = nullptr;
  const void* residual = nullptr;
  void* out = nullptr;
  /// `workspace_bytes()` bytes, 16-byte aligned.
  void* workspace = nullptr;
};

/// Device addresses of one attention, 16-byte aligned.
struct AttentionBuffers {
  const void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  void* out = nullptr;
  /// `workspace_bytes()` bytes.
  void* workspace = nullptr;
};

class ConvolutionPlan {
 public:
  virtual ~ConvolutionPlan() = default;
  /// The parts of the problem that `run` computes, as a sum of ConvolutionPart. They come before all others.
  [[nodiscard]] virtual unsigned fused_parts() const = 0;
  [[nodiscard]] virtual std::int64_t workspace_bytes() const = 0;
  /// Queues one run on the device's stream.
  virtual void run(const ConvolutionBuffers& buffers) const = 0;
};

class AttentionPlan {
 public:
  virtual ~AttentionPlan() = default;
  [[nodiscard]] virtual std::int64_t workspace_bytes() const = 0;
  virtual void run(const AttentionBuffers& buffers) const = 0;
};

/// Makes plans for one device and stream; equal problems share one. Used by one thread at a time.
class Products {
 public:
  virtual ~Products() = default;
  /// Null where our own kernel has to do it.
  virtual std::shared_ptr<const ConvolutionPlan> convolution(const ConvolutionProblem& problem) = 0;
  virtual std::shared_ptr<const AttentionPlan> attention(const AttentionProblem& problem) = 0;
  /// Keeps what was learnt about plans for the next process.
  virtual void save() {}
};

struct ProductsOptions {
  /// The card's name.
  std::string card;
  /// Time several plans of every problem and keep the fastest.
  bool autotune = false;
  /// Bytes of workspace that a plan may need.
  std::int64_t workspace_limit = 0;
};

/// The products of this build, or null where there are none. `description` says which, or why not.
std::unique_ptr<Products> make_products(const Stream& stream, const ProductsOptions& options, std::string* description);

/// The same without making them, for `probe`.
std::string describe_products();

}  // namespace dpm::cuda
