// Who multiplies: the convolutions and attentions that a vendor's library (cuda/dnn) computes faster than our own
// kernels.
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

/// Device addresses of one convolution. What it does not read may be null.
struct ConvolutionBuffers {
  const void* x = nullptr;
  const void* w = nullptr;
  /// The weights of the convolution's adjoint, for a plan that computes its data gradient (`adjoint_of`).
  const void* adjoint_w = nullptr;
  const void* bias = nullptr;
  const void* residual = nullptr;
  void* out = nullptr;
  /// The output without gaps between its pixels, for a plan that writes it so.
  void* packed = nullptr;
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

/// What the run of a plan has done of a problem.
struct ConvolutionResult {
  /// A sum of ConvolutionPart. They come before all others.
  unsigned parts = 0;
  /// It is written to `packed` and still has to be brought to `out`.
  bool packed = false;
  /// It is computed as a data gradient, from `adjoint_w`.
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

class AttentionPlan {
 public:
  virtual ~AttentionPlan() = default;
  [[nodiscard]] virtual std::int64_t workspace_bytes() const = 0;
  virtual void run(const AttentionBuffers& buffers) const = 0;
};

/// A plan among others for the same problem, for whoever compares all of them.
struct NamedPlan {
  enum class Kind {
    kBare,            ///< the convolution alone
    kJoined,          ///< with what follows it, as far as possible
    kJoinedFallback,  ///< the same, by an engine that the library has only where all others fail
  };
  Kind kind = Kind::kBare;
  /// In the plan cache: the parts that it joins, the engine and its settings, e.g. `0p/62:2=0,27=8`.
  std::string text;
  std::shared_ptr<const ConvolutionPlan> plan;
};

/// What making plans has come to.
struct ProductsStatistics {
  std::uint64_t plans = 0;
  /// Problems that are left to our own kernels, and why the first of them is.
  std::uint64_t refused = 0;
  std::string first_refusal;
  /// Spent in making and measuring plans.
  double seconds = 0;
};

/// Makes plans for one device and its streams; equal problems share one. Used by one thread at a time.
class Products {
 public:
  virtual ~Products() = default;
  /// Makes on several threads what takes long of the plans for these problems, which are asked for next.
  virtual void prepare(std::span<const ConvolutionProblem> /*problems*/) {}
  /// Null where our own kernel has to do it. Where plans are measured, so is the `rest` that they leave.
  virtual std::shared_ptr<const ConvolutionPlan> convolution(const ConvolutionProblem& problem,
                                                             const ConvolutionRest& rest) = 0;
  virtual std::shared_ptr<const AttentionPlan> attention(const AttentionProblem& problem) = 0;
  /// All plans that `convolution` would compare where plans are measured. Throws what keeps it from making any.
  virtual std::vector<NamedPlan> candidates(const ConvolutionProblem& /*problem*/) { return {}; }
  /// Notes what measuring those has shown; `chosen`, the text of one, is what later processes take, unless it is empty.
  virtual void keep(const ConvolutionProblem& /*problem*/, const std::string& /*chosen*/,
                    std::span<const MeasuredCandidate> /*measured*/) {}
  /// Keeps what was learnt about plans for the next process.
  virtual void save() {}
  [[nodiscard]] virtual ProductsStatistics statistics() const { return {}; }
};

struct ProductsOptions {
  /// The card's name, and its compute capability times ten.
  std::string card;
  int capability = 0;
  /// Time several plans of every problem and keep the fastest.
  bool autotune = false;
  /// Choices of earlier processes do not count.
  bool anew = false;
  /// Bytes of workspace that a plan may need.
  std::int64_t workspace_limit = 0;
  Switches switches;
};

/// The products of this build, or null where there are none; plans run on either stream. `description` says which, or
/// why not.
std::unique_ptr<Products> make_products(const Stream& stream, const Stream& side, const ProductsOptions& options,
                                        std::string* description);

/// The same without making them, for `probe`.
std::string describe_products(const Switches& switches);

}  // namespace dpm::cuda
