// Products: the convolutions, their weights' gradients and the attentions that a vendor's library (cuda/dnn) computes
// faster than our own kernels.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cuda/products/attention_problem.h"
#include "cuda/products/convolution_problem.h"
#include "cuda/products/measured_candidate.h"
#include "cuda/runtime/stream.h"
#include "cuda/runtime/switches.h"

namespace dpm::cuda {

/// Device addresses of one convolution. Those that it does not read may be null.
struct ConvolutionBuffers {
  const void* x = nullptr;
  const void* w = nullptr;
  /// Weights of the convolution's adjoint, for a plan that computes its data gradient (`adjoint_of`).
  const void* adjoint_w = nullptr;
  const void* bias = nullptr;
  const void* residual = nullptr;
  void* out = nullptr;
  /// Output without gaps between its pixels, for a plan that writes it so.
  void* packed = nullptr;
  /// Workspace of `workspace_bytes()` bytes, 16-byte aligned.
  void* workspace = nullptr;
};

/// Device addresses of one gradient of a convolution's weights.
struct WeightGradientBuffers {
  const void* x = nullptr;
  const void* d = nullptr;
  /// Result [out channels][ky][kx][in channels], in the problem's type; 16-byte aligned.
  void* w = nullptr;
  /// Workspace of `workspace_bytes()` bytes, 16-byte aligned.
  void* workspace = nullptr;
};

/// Device addresses of one attention, 16-byte aligned.
struct AttentionBuffers {
  const void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  void* out = nullptr;
  /// Workspace of `workspace_bytes()` bytes.
  void* workspace = nullptr;
};

/// The parts of a problem that the run of a plan has computed.
struct ConvolutionResult {
  /// Parts as a sum of ConvolutionPart. They come before all others.
  unsigned parts = 0;
  /// Tells whether the output is in `packed` and still has to be copied to `out`.
  bool packed = false;
  /// Tells whether it is computed as a data gradient, from `adjoint_w`.
  bool data_gradient = false;
};

/// Queues the rest of a convolution on the device's stream.
using ConvolutionRest = std::function<void(const ConvolutionBuffers&, const ConvolutionResult&)>;

class ConvolutionPlan {
 public:
  virtual ~ConvolutionPlan() = default;
  [[nodiscard]] virtual ConvolutionResult result() const = 0;
  [[nodiscard]] virtual std::int64_t workspace_bytes() const = 0;
  /// Queues one run on a stream that the products were made for.
  virtual void run(const ConvolutionBuffers& buffers, cudaStream_t stream) const = 0;
};

/// A gradient of weights; its result does not depend on the run.
class WeightGradientPlan {
 public:
  virtual ~WeightGradientPlan() = default;
  [[nodiscard]] virtual std::int64_t workspace_bytes() const = 0;
  virtual void run(const WeightGradientBuffers& buffers, cudaStream_t stream) const = 0;
};

class AttentionPlan {
 public:
  virtual ~AttentionPlan() = default;
  [[nodiscard]] virtual std::int64_t workspace_bytes() const = 0;
  virtual void run(const AttentionBuffers& buffers) const = 0;
};

/// A plan among others for the same problem, for comparisons of all of them.
struct NamedPlan {
  enum class Kind {
    kBare,            ///< the convolution alone
    kJoined,          ///< the convolution with as many of the following operations as possible
    kJoinedFallback,  ///< the same, by an engine from the library's fallback list
  };
  Kind kind = Kind::kBare;
  /// Text in the plan cache: the parts that it joins, the engine and its settings, e.g. `0p/62:2=0,27=8`.
  std::string text;
  std::shared_ptr<const ConvolutionPlan> plan;
};

/// Results of making plans.
struct ProductsStatistics {
  std::uint64_t plans = 0;
  /// Number of problems that are left to our own kernels, and the reason for the first of them.
  std::uint64_t refused = 0;
  std::string first_refusal;
  /// Seconds spent in making and measuring plans.
  double seconds = 0;
};

/// Makes plans for one device and its streams; equal problems share one. Used by one thread at a time.
class Products {
 public:
  virtual ~Products() = default;
  /// Prepares the slow part of plans for these problems, which are asked for next, on several threads.
  virtual void prepare(std::span<const ConvolutionProblem> /*problems*/) {}
  /// Returns a plan, or null where our own kernel has to do the work. Where plans are measured, the measurement
  /// includes the `rest` that they leave.
  virtual std::shared_ptr<const ConvolutionPlan> convolution(const ConvolutionProblem& problem,
                                                             const ConvolutionRest& rest) = 0;
  /// Returns a plan for the gradient of the weights of a convolution that is followed by nothing, or null as above.
  virtual std::shared_ptr<const WeightGradientPlan> weight_gradient(const ConvolutionProblem& /*problem*/) {
    return nullptr;
  }
  virtual std::shared_ptr<const AttentionPlan> attention(const AttentionProblem& problem) = 0;
  /// Returns all plans that `convolution` would compare where plans are measured. Throws the error that prevents making
  /// any.
  virtual std::vector<NamedPlan> candidates(const ConvolutionProblem& /*problem*/) { return {}; }
  /// Stores the results of measuring those; `chosen`, the text of one, is the choice of later processes, unless it is
  /// empty.
  virtual void keep(const ConvolutionProblem& /*problem*/, const std::string& /*chosen*/,
                    std::span<const MeasuredCandidate> /*measured*/) {}
  /// Saves the choices of plans for the next process.
  virtual void save() {}
  [[nodiscard]] virtual ProductsStatistics statistics() const { return {}; }
};

struct ProductsOptions {
  /// Name of the GPU, and its compute capability times ten.
  std::string card;
  int capability = 0;
  /// Tells whether to time several plans of every problem and keep the fastest.
  bool autotune = false;
  /// Tells whether to ignore choices of earlier processes.
  bool anew = false;
  /// Limit of a plan's workspace in bytes.
  std::int64_t workspace_limit = 0;
  Switches switches;
};

/// Makes the products of this build; null where there are none. Plans run on either stream. `description` receives
/// their name, or the reason why there are none.
std::unique_ptr<Products> make_products(const Stream& stream, const Stream& side, const ProductsOptions& options,
                                        std::string* description);

/// Returns the same description without making products, for `probe`.
std::string describe_products(const Switches& switches);

}  // namespace dpm::cuda
