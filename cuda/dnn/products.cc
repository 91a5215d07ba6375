// cuDNN's convolutions and attentions behind the interface of products.h.
#include "cuda/products/products.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "cuda/dnn/attention.h"
#include "cuda/dnn/convolution.h"
#include "cuda/dnn/handles.h"
#include "cuda/dnn/library.h"
#include "cuda/dnn/plan_cache.h"
#include "cuda/dnn/timing.h"
#include "cuda/dnn/weight_gradient.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

class DnnConvolution : public ConvolutionPlan {
 public:
  DnnConvolution(const Handles& handles, Convolution convolution)
      : handles_(handles), convolution_(std::move(convolution)) {}
  [[nodiscard]] ConvolutionResult result() const override { return convolution_.result(); }
  [[nodiscard]] std::int64_t workspace_bytes() const override { return convolution_.workspace_bytes(); }
  void run(const ConvolutionBuffers& buffers, cudaStream_t stream) const override {
    convolution_.run(handles_.on(stream), buffers);
  }

 private:
  const Handles& handles_;
  Convolution convolution_;
};

class DnnWeightGradient : public WeightGradientPlan {
 public:
  DnnWeightGradient(const Handles& handles, WeightGradient gradient)
      : handles_(handles), gradient_(std::move(gradient)) {}
  [[nodiscard]] std::int64_t workspace_bytes() const override { return gradient_.workspace_bytes(); }
  void run(const WeightGradientBuffers& buffers, cudaStream_t stream) const override {
    gradient_.run(handles_.on(stream), buffers);
  }

 private:
  const Handles& handles_;
  WeightGradient gradient_;
};

class DnnAttention : public AttentionPlan {
 public:
  DnnAttention(const Handle& handle, Attention attention) : handle_(handle), attention_(std::move(attention)) {}
  [[nodiscard]] std::int64_t workspace_bytes() const override { return attention_.workspace_bytes(); }
  void run(const AttentionBuffers& buffers) const override { attention_.run(handle_.get(), buffers); }

 private:
  const Handle& handle_;
  Attention attention_;
};

using Clock = std::chrono::steady_clock;

/// A stopwatch that adds the time from its construction to the end of the scope.
class Stopwatch {
 public:
  explicit Stopwatch(double* seconds) : seconds_(seconds) {}
  ~Stopwatch() { *seconds_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double* seconds_;
  Clock::time_point start_ = Clock::now();
};

class DnnProducts : public Products {
 public:
  DnnProducts(const CudnnLibrary& library, const Stream& stream, const Stream& side, const ProductsOptions& options)
      : library_(library),
        stream_(stream),
        options_(options),
        handles_(library, stream.get(), side.get()),
        cache_(plan_cache_folder(process_environment()), options.card, library.version) {}

  void prepare(std::span<const ConvolutionProblem> problems) override {
    const Stopwatch watch(&statistics_.seconds);
    std::vector<const ConvolutionProblem*> slow;
    for (const ConvolutionProblem& problem : problems) {
      const std::string key = problem_key(problem);
      const bool is_new = convolutions_.count(key) == 0 && prepared_.count(key) == 0;
      // A choice by the rule takes no time, so it needs no preparation.
      if (!is_new || (!options_.autotune && cache_.find(key).empty() && !options_.switches.cudnn_parts)) continue;
      prepared_.emplace(key, std::vector<ConvolutionCandidate>());
      slow.push_back(&problem);
    }
    find_on_threads(slow);
  }

  std::shared_ptr<const ConvolutionPlan> convolution(const ConvolutionProblem& problem,
                                                     const ConvolutionRest& rest) override {
    return remembered(convolutions_, problem_key(problem), [&](const std::string& key) {
      std::vector<ConvolutionCandidate> candidates = take_candidates(problem, key);
      ConvolutionTimer timer;
      if (options_.autotune) timer = convolution_timer(stream_, handles_.main().get(), problem, rest);
      std::vector<MeasuredCandidate> measured;
      Convolution made(library_, problem, std::move(candidates), timer, &measured);
      if (options_.switches.print_plans) print(key, made.choice());
      if (options_.autotune) note(key, made.choice(), measured);
      return std::make_shared<const DnnConvolution>(handles_, std::move(made));
    });
  }

  std::shared_ptr<const WeightGradientPlan> weight_gradient(const ConvolutionProblem& problem) override {
    return remembered(weight_gradients_, "weights-" + problem_key(problem), [&](const std::string& key) {
      WeightGradient made(library_, problem, target(handles_.main()), options_.workspace_limit);
      if (options_.switches.print_plans) print(key, to_text(made.choice()));
      return std::make_shared<const DnnWeightGradient>(handles_, std::move(made));
    });
  }

  std::shared_ptr<const AttentionPlan> attention(const AttentionProblem& problem) override {
    if (!options_.switches.cudnn_attention) return nullptr;
    return remembered(attentions_, problem_key(problem), [&](const std::string& /*key*/) {
      return std::make_shared<const DnnAttention>(
          handles_.main(), Attention(library_, problem, target(handles_.main()), options_.workspace_limit));
    });
  }

  std::vector<NamedPlan> candidates(const ConvolutionProblem& problem) override {
    const Stopwatch watch(&statistics_.seconds);
    std::vector<NamedPlan> named;
    for (ConvolutionCandidate& candidate : take_candidates(problem, problem_key(problem))) {
      const NamedPlan::Kind kind = kind_of(candidate);
      std::string text = to_text(candidate);
      std::vector<ConvolutionCandidate> one;
      one.push_back(std::move(candidate));
      auto plan = std::make_shared<const DnnConvolution>(handles_, Convolution(library_, problem, std::move(one)));
      named.push_back({kind, std::move(text), std::move(plan)});
    }
    return named;
  }

  void keep(const ConvolutionProblem& problem, const std::string& chosen,
            std::span<const MeasuredCandidate> measured) override {
    note(problem_key(problem), chosen, measured);
  }

  void save() override { cache_.save(); }
  [[nodiscard]] ProductsStatistics statistics() const override { return statistics_; }

 private:
  [[nodiscard]] PlanTarget target(const Handle& handle) const { return {handle.get(), nullptr, options_.capability}; }

  [[nodiscard]] CandidateOptions candidate_options(const std::string& key, const Handle& handle) const {
    CandidateOptions options;
    options.target = target(handle);
    options.workspace_limit = options_.workspace_limit;
    options.joined = options_.switches.cudnn_parts;
    // A remembered choice must not replace an explicit option.
    if (!options.joined && !options_.anew) options.remembered = cache_.find(key);
    options.all = options_.autotune;
    return options;
  }

  static NamedPlan::Kind kind_of(const ConvolutionCandidate& candidate) {
    if (candidate.parts == 0) return NamedPlan::Kind::kBare;
    return candidate.plan.is_fallback ? NamedPlan::Kind::kJoinedFallback : NamedPlan::Kind::kJoined;
  }

  /// Returns the candidates that were prepared, or makes them now.
  std::vector<ConvolutionCandidate> take_candidates(const ConvolutionProblem& problem, const std::string& key) {
    std::vector<ConvolutionCandidate> candidates = std::move(prepared_[key]);
    prepared_.erase(key);
    if (candidates.empty()) candidates = find_candidates(library_, problem, candidate_options(key, handles_.main()));
    return candidates;
  }

  /// Fills `prepared_` for `problems`; a failure is not stored, but happens again where the problem is asked for.
  void find_on_threads(const std::vector<const ConvolutionProblem*>& problems) {
    const std::size_t threads =
        std::min<std::size_t>({problems.size(), std::max(1U, std::thread::hardware_concurrency()), kMostThreads});
    if (threads < 2) return;
    int card = 0;
    check_cuda(cudaGetDevice(&card), "asking for the card");
    // Each thread has its own handle, and a plan may refer to the handle that it was made with.
    while (planners_.size() < threads) planners_.push_back(std::make_unique<Handle>(library_, stream_.get()));
    std::atomic<std::size_t> next{0};
    const auto work = [&](const Handle& handle) {
      if (cudaSetDevice(card) != cudaSuccess) return;
      for (std::size_t i = next++; i < problems.size(); i = next++) {
        const std::string key = problem_key(*problems[i]);
        try {
          prepared_.find(key)->second = find_candidates(library_, *problems[i], candidate_options(key, handle));
        } catch (const std::exception&) {
          continue;
        }
      }
    };
    std::vector<std::jthread> running;
    for (std::size_t i = 0; i < threads; ++i) running.emplace_back([&, i] { work(*planners_[i]); });
  }

  /// Returns the plan kept for `key`, which is made at the first request; null is kept, too.
  template <typename Made, typename Make>
  std::shared_ptr<const Made> remembered(std::map<std::string, std::shared_ptr<const Made>>& plans,
                                         const std::string& key, const Make& make) {
    const auto found = plans.find(key);
    if (found != plans.end()) return found->second;
    return plans.emplace(key, made_or_refused<Made>(key, make)).first->second;
  }

  /// Returns the result of `make`, or null where it fails: our own kernels can still do the work, unless the GPU has
  /// failed.
  template <typename Made, typename Make>
  std::shared_ptr<const Made> made_or_refused(const std::string& key, const Make& make) {
    const Stopwatch watch(&statistics_.seconds);
    try {
      std::shared_ptr<const Made> made = make(key);
      ++statistics_.plans;
      return made;
    } catch (const CardFailure&) {
      throw;
    } catch (const Error& error) {
      refuse(key, error.what());
    }
    return nullptr;
  }

  void refuse(const std::string& key, const std::string& why) {
    if (statistics_.refused++ == 0) statistics_.first_refusal = key + ": " + why;
    if (options_.switches.print_plans) std::fprintf(stderr, "cuDNN refuses %s: %s\n", key.c_str(), why.c_str());
  }

  static void print(const std::string& key, const std::string& choice) {
    std::fprintf(stderr, "cuDNN plans %s: %s\n", key.c_str(), choice.c_str());
  }

  /// Stores the choice and every candidate for the next process.
  void note(const std::string& key, const std::string& chosen, std::span<const MeasuredCandidate> measured) {
    cache_.store(key, chosen);
    for (std::size_t i = 0; i < measured.size(); ++i) {
      cache_.store(key + "#" + std::to_string(i), to_text(measured[i]));
    }
  }

  static constexpr std::size_t kMostThreads = 16;

  const CudnnLibrary& library_;
  const Stream& stream_;
  const ProductsOptions options_;
  Handles handles_;
  std::vector<std::unique_ptr<Handle>> planners_;
  PlanCache cache_;
  ProductsStatistics statistics_;
  std::map<std::string, std::vector<ConvolutionCandidate>> prepared_;
  std::map<std::string, std::shared_ptr<const ConvolutionPlan>> convolutions_;
  std::map<std::string, std::shared_ptr<const WeightGradientPlan>> weight_gradients_;
  std::map<std::string, std::shared_ptr<const AttentionPlan>> attentions_;
};

std::string version_text(std::size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

std::string describe(const CudnnLibrary* library, const std::string& reason) {
  if (library != nullptr) return "cuDNN " + version_text(library->version) + " (" + library->path + ")";
  std::string places = reason;
  while (!places.empty() && places.back() == '\n') places.pop_back();
  std::replace(places.begin(), places.end(), '\n', ';');
  return "no cuDNN, slower kernels instead; tried " + places;
}

}  // namespace

std::unique_ptr<Products> make_products(const Stream& stream, const Stream& side, const ProductsOptions& options,
                                        std::string* description) {
  *description = describe_products(options.switches);
  const CudnnLibrary* library = options.switches.cudnn ? find_cudnn(nullptr) : nullptr;
  if (library == nullptr) return nullptr;
  try {
    return std::make_unique<DnnProducts>(*library, stream, side, options);
  } catch (const CardFailure&) {
    throw;
  } catch (const Error& error) {
    // Our own kernels are used without the library.
    *description = std::string("cuDNN cannot be used, slower kernels instead; ") + error.what();
    return nullptr;
  }
}

std::string describe_products(const Switches& switches) {
  if (!switches.cudnn) return "cuDNN switched off by DPM_CUDNN, slower kernels instead";
  std::string reason;
  const CudnnLibrary* library = find_cudnn(&reason);
  return describe(library, reason);
}

}  // namespace dpm::cuda
