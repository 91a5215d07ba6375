// cuDNN's convolutions and attentions behind the interface of products.h.
#include "cuda/products/products.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "core/error.h"
#include "cuda/dnn/attention.h"
#include "cuda/dnn/convolution.h"
#include "cuda/dnn/library.h"
#include "cuda/dnn/plan_cache.h"
#include "cuda/dnn/timing.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// A cuDNN handle on the current device and a stream.
class Handle {
 public:
  Handle(const CudnnLibrary& library, const Stream& stream) : library_(library) {
    {
      const std::unique_lock<std::shared_mutex> nobody_captures(capture_mutex());
      check_cudnn(library, library.create(&handle_), "creating the handle");
    }
    const cudnnStatus_t status = library.set_stream(handle_, stream.get());
    if (status != CUDNN_STATUS_SUCCESS) destroy();
    check_cudnn(library, status, "setting the stream");
  }
  ~Handle() { destroy(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  [[nodiscard]] cudnnHandle_t get() const { return handle_; }

 private:
  void destroy() {
    const std::unique_lock<std::shared_mutex> nobody_captures(capture_mutex());
    library_.destroy(handle_);
  }

  const CudnnLibrary& library_;
  cudnnHandle_t handle_ = nullptr;
};

class DnnConvolution : public ConvolutionPlan {
 public:
  DnnConvolution(const Handle& handle, Convolution convolution)
      : handle_(handle), convolution_(std::move(convolution)) {}
  [[nodiscard]] unsigned fused_parts() const override { return convolution_.fused_parts(); }
  [[nodiscard]] std::int64_t workspace_bytes() const override { return convolution_.workspace_bytes(); }
  void run(const ConvolutionBuffers& buffers) const override { convolution_.run(handle_.get(), buffers); }

 private:
  const Handle& handle_;
  Convolution convolution_;
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

/// What `make` makes, or null where it says that something is not supported.
template <typename Made, typename Make>
std::shared_ptr<const Made> if_supported(const Make& make) {
  try {
    return make();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
  }
  return nullptr;
}

/// The plan kept for `key`, made when it is asked for the first time; null is kept, too.
template <typename Made, typename Make>
std::shared_ptr<const Made> remembered(std::map<std::string, std::shared_ptr<const Made>>& plans,
                                       const std::string& key, const Make& make) {
  const auto found = plans.find(key);
  if (found != plans.end()) return found->second;
  return plans.emplace(key, if_supported<Made>(make)).first->second;
}

class DnnProducts : public Products {
 public:
  DnnProducts(const CudnnLibrary& library, const Stream& stream, const ProductsOptions& options)
      : library_(library),
        stream_(stream),
        autotune_(options.autotune),
        workspace_limit_(options.workspace_limit),
        handle_(library, stream),
        cache_(plan_cache_folder(process_environment()), options.card, library.version) {}

  std::shared_ptr<const ConvolutionPlan> convolution(const ConvolutionProblem& problem) override {
    const std::string key = problem_key(problem);
    return remembered(convolutions_, key, [&] {
      ConvolutionOptions options;
      options.target.handle = handle_.get();
      options.workspace_limit = workspace_limit_;
      options.remembered = cache_.find(key);
      if (autotune_) options.timer = convolution_timer(stream_, handle_.get(), problem);
      Convolution made(library_, problem, options);
      // A choice of the heuristics costs little to make again, and might stand in the way of a measured one.
      if (autotune_) cache_.store(key, made.choice());
      return std::make_shared<const DnnConvolution>(handle_, std::move(made));
    });
  }

  std::shared_ptr<const AttentionPlan> attention(const AttentionProblem& problem) override {
    return remembered(attentions_, problem_key(problem), [&] {
      PlanTarget target;
      target.handle = handle_.get();
      return std::make_shared<const DnnAttention>(handle_, Attention(library_, problem, target, workspace_limit_));
    });
  }

  void save() override { cache_.save(); }

 private:
  const CudnnLibrary& library_;
  const Stream& stream_;
  const bool autotune_;
  const std::int64_t workspace_limit_;
  Handle handle_;
  PlanCache cache_;
  std::map<std::string, std::shared_ptr<const ConvolutionPlan>> convolutions_;
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

std::unique_ptr<Products> make_products(const Stream& stream, const ProductsOptions& options,
                                        std::string* description) {
  std::string reason;
  const CudnnLibrary* library = find_cudnn(&reason);
  *description = describe(library, reason);
  if (library == nullptr) return nullptr;
  try {
    return std::make_unique<DnnProducts>(*library, stream, options);
  } catch (const CardFailure&) {
    throw;
  } catch (const Error& error) {
    // Our own kernels need no library.
    *description = std::string("cuDNN cannot be used, slower kernels instead; ") + error.what();
    return nullptr;
  }
}

std::string describe_products() {
  std::string reason;
  const CudnnLibrary* library = find_cudnn(&reason);
  return describe(library, reason);
}

}  // namespace dpm::cuda
