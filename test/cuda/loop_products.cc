// Products of the emulated device: plain loops with sums in double, in place of cuDNN's. $DPM_EMULATED_PRODUCTS chooses
// the parts that they compute, because cuDNN's plans differ in these: `bare` (the default, like cuDNN's plans by the
// rule) computes convolutions alone, written packed; `all` also all following parts; `none` leaves everything to our
// own kernels; `dropped` has one more candidate, which claims to compute the following parts and does not.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/dtype.h"
#include "cuda/kernels/storage.h"
#include "cuda/products/products.h"
#include "runtime.h"

namespace dpm::cuda {
namespace {

/// Returns the size of a workspace, which may be larger for fewer samples, like a library's.
std::int64_t workspace_of(int batch) { return 1024 * (1 + batch % 3); }

std::string chosen() {
  const char* value = std::getenv("DPM_EMULATED_PRODUCTS");
  return value == nullptr ? "bare" : value;
}

/// Numbers of type `type` at an address.
struct Numbers {
  void* data;
  DType type;

  [[nodiscard]] double get(std::int64_t i) const {
    return static_cast<double>(load_as_float(data, type, static_cast<std::size_t>(i)));
  }
  void set(std::int64_t i, double value) const {
    const auto number = static_cast<float>(value);
    if (type == DType::kFloat32) static_cast<float*>(data)[i] = number;
    if (type == DType::kFloat16) static_cast<Half*>(data)[i] = from_float<Half>(number);
    if (type == DType::kBFloat16) static_cast<Bfloat16*>(data)[i] = from_float<Bfloat16>(number);
  }
};

Numbers numbers(const void* data, DType type) { return {const_cast<void*>(data), type}; }

/// Returns the first `count` numbers.
std::vector<float> floats(const void* data, DType type, std::int64_t count) {
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(numbers(data, type).get(i)));
  return values;
}

/// Computes the convolution of one output element.
double convolved(const ConvolutionProblem& p, const float* x, const float* w, int n, int y, int column, int o) {
  double sum = 0;
  for (int i = 0; i < p.kernel; ++i) {
    for (int j = 0; j < p.kernel; ++j) {
      const int row = y * p.stride + i - p.pad_before;
      const int col = column * p.stride + j - p.pad_before;
      if (row < 0 || row >= p.in_height || col < 0 || col >= p.in_width) continue;
      const std::int64_t pixel = (std::int64_t{n} * p.in_height + row) * p.in_width + col;
      const std::int64_t tap = (std::int64_t{o} * p.kernel + i) * p.kernel + j;
      for (int c = 0; c < p.in_channels; ++c) {
        sum += static_cast<double>(x[pixel * p.in_pixel_stride + c]) * static_cast<double>(w[tap * p.in_channels + c]);
      }
    }
  }
  return sum;
}

/// Computes one element of a data gradient: `w` are the weights of the adjoint convolution, which gives x from the
/// output.
double pulled_back(const ConvolutionProblem& p, const AdjointConvolution& how, const float* x, const float* w, int n,
                   int y, int column, int o) {
  double sum = 0;
  for (int row = 0; row < p.in_height; ++row) {
    for (int col = 0; col < p.in_width; ++col) {
      const int i = y + how.pad_before - row * how.stride;
      const int j = column + how.pad_before - col * how.stride;
      if (i < 0 || i >= p.kernel || j < 0 || j >= p.kernel) continue;
      const std::int64_t pixel = (std::int64_t{n} * p.in_height + row) * p.in_width + col;
      for (int c = 0; c < p.in_channels; ++c) {
        const std::int64_t tap = (std::int64_t{c} * p.kernel + i) * p.kernel + j;
        sum += static_cast<double>(x[pixel * p.in_pixel_stride + c]) * static_cast<double>(w[tap * p.out_channels + o]);
      }
    }
  }
  return sum;
}

void run_loops(const ConvolutionProblem& p, unsigned parts, const ConvolutionBuffers& b) {
  // The last pixel of a range of channels ends with its channels, before the pixel stride does.
  const std::int64_t pixels = std::int64_t{p.batch} * p.in_height * p.in_width;
  const std::vector<float> x = floats(b.x, p.dtype, (pixels - 1) * p.in_pixel_stride + p.in_channels);
  const std::int64_t taps = std::int64_t{p.kernel} * p.kernel;
  const std::vector<float> w =
      floats(p.zero_upsample ? b.adjoint_w : b.w, p.dtype, p.out_channels * taps * p.in_channels);
  const AdjointConvolution adjoint = adjoint_of(p).value_or(AdjointConvolution{});
  const Numbers out = numbers(b.out, p.dtype);
  const Numbers residual = numbers(b.residual, p.dtype);
  for (int n = 0; n < p.batch; ++n) {
    for (int pixel = 0; pixel < p.out_height * p.out_width; ++pixel) {
      const std::int64_t place = std::int64_t{n} * p.out_height * p.out_width + pixel;
      for (int o = 0; o < p.out_channels; ++o) {
        const int row = pixel / p.out_width;
        const int column = pixel % p.out_width;
        double value = p.zero_upsample ? pulled_back(p, adjoint, x.data(), w.data(), n, row, column, o)
                                       : convolved(p, x.data(), w.data(), n, row, column, o);
        if ((parts & kPartBias) != 0) value += static_cast<double>(static_cast<const float*>(b.bias)[o]);
        if ((parts & kPartResidual) != 0) value += residual.get(place * p.residual_pixel_stride + o);
        if ((parts & kPartScale) != 0) value *= static_cast<double>(p.scale);
        if ((parts & kPartSilu) != 0) value /= 1 + std::exp(-value);
        out.set(place * p.out_pixel_stride + o, value);
      }
    }
  }
}

class LoopConvolution : public ConvolutionPlan {
 public:
  /// Makes a convolution that computes `done` and claims to compute `parts`.
  LoopConvolution(const ConvolutionProblem& problem, unsigned parts, unsigned done, bool packed)
      : problem_(problem), parts_(parts), done_(done), packed_(packed) {
    if (packed) problem_.out_pixel_stride = problem.out_channels;
  }
  [[nodiscard]] ConvolutionResult result() const override { return {parts_, packed_, problem_.zero_upsample}; }
  [[nodiscard]] std::int64_t workspace_bytes() const override { return workspace_of(problem_.batch); }
  void run(const ConvolutionBuffers& buffers, cudaStream_t stream) const override {
    ConvolutionBuffers written = buffers;
    if (packed_) written.out = buffers.packed;
    simt::submit(stream, [problem = problem_, parts = done_, buffers = written] {
      // The workspace is overwritten, as a library would do.
      std::memset(buffers.workspace, 0xFF, static_cast<std::size_t>(workspace_of(problem.batch)));
      run_loops(problem, parts, buffers);
    });
  }

 private:
  ConvolutionProblem problem_;
  unsigned parts_;
  unsigned done_;
  bool packed_;
};

void run_loops(const ConvolutionProblem& p, const WeightGradientBuffers& b) {
  const std::int64_t in_pixels = std::int64_t{p.batch} * p.in_height * p.in_width;
  const std::int64_t out_pixels = std::int64_t{p.batch} * p.out_height * p.out_width;
  const std::vector<float> x = floats(b.x, p.dtype, (in_pixels - 1) * p.in_pixel_stride + p.in_channels);
  const std::vector<float> d = floats(b.d, p.dtype, (out_pixels - 1) * p.out_pixel_stride + p.out_channels);
  const std::int64_t row = std::int64_t{p.kernel} * p.kernel * p.in_channels;
  std::vector<double> sums(static_cast<std::size_t>(row * p.out_channels), 0.0);
  for (std::int64_t pixel = 0; pixel < out_pixels; ++pixel) {
    const auto n = pixel / (p.out_height * p.out_width);
    const int place = static_cast<int>(pixel % (p.out_height * p.out_width));
    for (int tap = 0; tap < p.kernel * p.kernel; ++tap) {
      const int y = place / p.out_width * p.stride + tap / p.kernel - p.pad_before;
      const int column = place % p.out_width * p.stride + tap % p.kernel - p.pad_before;
      if (y < 0 || y >= p.in_height || column < 0 || column >= p.in_width) continue;
      const float* from = x.data() + ((n * p.in_height + y) * p.in_width + column) * p.in_pixel_stride;
      const float* by = d.data() + pixel * p.out_pixel_stride;
      for (int o = 0; o < p.out_channels; ++o) {
        double* to = sums.data() + o * row + std::int64_t{tap} * p.in_channels;
        for (int c = 0; c < p.in_channels; ++c) to[c] += static_cast<double>(by[o]) * static_cast<double>(from[c]);
      }
    }
  }
  for (std::size_t i = 0; i < sums.size(); ++i) numbers(b.w, p.dtype).set(static_cast<std::int64_t>(i), sums[i]);
}

class LoopWeightGradient : public WeightGradientPlan {
 public:
  explicit LoopWeightGradient(const ConvolutionProblem& problem) : problem_(problem) {}
  [[nodiscard]] std::int64_t workspace_bytes() const override { return workspace_of(problem_.batch); }
  void run(const WeightGradientBuffers& buffers, cudaStream_t stream) const override {
    simt::submit(stream, [problem = problem_, buffers] {
      std::memset(buffers.workspace, 0xFF, static_cast<std::size_t>(workspace_of(problem.batch)));
      run_loops(problem, buffers);
    });
  }

 private:
  ConvolutionProblem problem_;
};

void run_loops(const AttentionProblem& p, const AttentionBuffers& b) {
  const auto element = [&](const void* data, std::int64_t stride, int tokens, int n, int token, int channel) {
    return numbers(data, p.dtype).get((std::int64_t{n} * tokens + token) * stride + channel);
  };
  std::vector<double> weight(static_cast<std::size_t>(p.key_tokens));
  for (int row = 0; row < p.batch * p.heads * p.query_tokens; ++row) {
    const int n = row / (p.heads * p.query_tokens);
    const int first = row / p.query_tokens % p.heads * p.width;
    const int query = row % p.query_tokens;
    for (int key = 0; key < p.key_tokens; ++key) {
      double dot = 0;
      for (int c = first; c < first + p.width; ++c) {
        dot += element(b.q, p.q_token_stride, p.query_tokens, n, query, c) *
               element(b.k, p.k_token_stride, p.key_tokens, n, key, c);
      }
      weight[static_cast<std::size_t>(key)] = dot * static_cast<double>(p.scale);
    }
    const double largest = *std::max_element(weight.begin(), weight.end());
    double sum = 0;
    for (double& w : weight) sum += w = std::exp(w - largest);
    for (int c = first; c < first + p.width; ++c) {
      double value = 0;
      for (int key = 0; key < p.key_tokens; ++key) {
        value += weight[static_cast<std::size_t>(key)] * element(b.v, p.v_token_stride, p.key_tokens, n, key, c);
      }
      const std::int64_t place = (std::int64_t{n} * p.query_tokens + query) * p.out_token_stride + c;
      numbers(b.out, p.dtype).set(place, value / sum);
    }
  }
}

class LoopAttention : public AttentionPlan {
 public:
  LoopAttention(const Stream& stream, const AttentionProblem& problem) : stream_(stream), problem_(problem) {}
  [[nodiscard]] std::int64_t workspace_bytes() const override { return 0; }
  void run(const AttentionBuffers& buffers) const override {
    simt::submit(stream_.get(), [problem = problem_, buffers] { run_loops(problem, buffers); });
  }

 private:
  const Stream& stream_;
  AttentionProblem problem_;
};

class LoopProducts : public Products {
 public:
  LoopProducts(const Stream& stream, const Switches& switches) : stream_(stream), switches_(switches) {}
  std::shared_ptr<const ConvolutionPlan> convolution(const ConvolutionProblem& problem,
                                                     const ConvolutionRest& /*rest*/) override {
    check_problem(problem);
    // A library computes problems with inserted zeros only as data gradients.
    if (problem.zero_upsample) return adjoint_of(problem) ? bare(problem) : nullptr;
    return chosen() == "all" ? joined(problem, wanted_parts(problem)) : bare(problem);
  }
  std::vector<NamedPlan> candidates(const ConvolutionProblem& problem) override {
    check_problem(problem);
    const unsigned parts = wanted_parts(problem);
    const std::string name = std::to_string(parts);
    std::vector<NamedPlan> plans;
    if (problem.zero_upsample) {
      plans.push_back({NamedPlan::Kind::kBare, is_strided(problem) ? "0pg/0:" : "0g/0:", bare(problem)});
      return plans;
    }
    if (chosen() == "dropped") plans.push_back({NamedPlan::Kind::kJoinedFallback, name + "/2:", joined(problem, 0)});
    plans.push_back({NamedPlan::Kind::kBare, is_strided(problem) ? "0p/0:2=1" : "0/0:2=1", bare(problem)});
    if (parts != 0) plans.push_back({NamedPlan::Kind::kJoined, name + "/1:", joined(problem, parts)});
    return plans;
  }
  std::shared_ptr<const WeightGradientPlan> weight_gradient(const ConvolutionProblem& problem) override {
    check_problem(problem);
    return std::make_shared<const LoopWeightGradient>(problem);
  }
  std::shared_ptr<const AttentionPlan> attention(const AttentionProblem& problem) override {
    if (!switches_.cudnn_attention) return nullptr;
    return std::make_shared<const LoopAttention>(stream_, problem);
  }

 private:
  using Plan = std::shared_ptr<const ConvolutionPlan>;

  static bool is_strided(const ConvolutionProblem& problem) { return problem.out_pixel_stride != problem.out_channels; }
  static Plan bare(const ConvolutionProblem& problem) {
    return std::make_shared<const LoopConvolution>(problem, 0, 0, is_strided(problem));
  }
  static Plan joined(const ConvolutionProblem& problem, unsigned done) {
    return std::make_shared<const LoopConvolution>(problem, wanted_parts(problem), done, false);
  }

  const Stream& stream_;
  const Switches switches_;
};

}  // namespace

std::unique_ptr<Products> make_products(const Stream& stream, const Stream& /*side*/, const ProductsOptions& options,
                                        std::string* description) {
  *description = describe_products(options.switches);
  if (chosen() == "none" || !options.switches.cudnn) return nullptr;
  return std::make_unique<LoopProducts>(stream, options.switches);
}

std::string describe_products(const Switches& switches) {
  return "emulated products: " + (switches.cudnn ? chosen() : "none");
}

}  // namespace dpm::cuda
