#include "cuda/dnn/convolution.h"

#include <array>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "cuda/dnn/convolution_graph.h"
#include "cuda/dnn/operations.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// The list of addresses for one run.
class Addresses {
 public:
  void add(std::int64_t id, const void* address, std::int64_t alignment) {
    require(address != nullptr, "an address of the convolution is null");
    require(reinterpret_cast<std::uintptr_t>(address) % static_cast<std::uintptr_t>(alignment) == 0,
            "an address of the convolution is not aligned");
    ids_.at(count_) = id;
    addresses_.at(count_) = address;
    ++count_;
  }
  [[nodiscard]] std::span<const std::int64_t> ids() const { return std::span(ids_).first(count_); }
  [[nodiscard]] std::span<const void* const> addresses() const { return std::span(addresses_).first(count_); }

 private:
  std::array<std::int64_t, 6> ids_{};
  std::array<const void*, 6> addresses_{};
  std::size_t count_ = 0;
};

}  // namespace

Convolution::Convolution(const CudnnLibrary& library, const ConvolutionProblem& problem,
                         std::vector<ConvolutionCandidate> candidates, const ConvolutionTimer& timer,
                         std::vector<MeasuredCandidate>* measured)
    : library_(&library), problem_(problem), candidate_(std::move(candidates.front())) {
  candidates.erase(candidates.begin());
  if (timer && !candidates.empty()) keep_fastest(std::move(candidates), timer, measured);
}

void Convolution::keep_fastest(std::vector<ConvolutionCandidate> others, const ConvolutionTimer& timer,
                               std::vector<MeasuredCandidate>* measured) {
  // A plan that fails when it runs counts as infinitely slow.
  bool no_memory = false;
  const auto seconds = [&]() {
    double taken = HUGE_VAL;
    try {
      taken = timer(*this);
    } catch (const CardFailure&) {
      throw;
    } catch (const Error& error) {
      no_memory = no_memory || error.code() == ErrorCode::kOutOfMemory;
    }
    if (measured != nullptr) measured->push_back({choice(), taken});
    return taken;
  };
  double best = seconds();
  for (ConvolutionCandidate& other : others) {
    std::swap(candidate_, other);
    const double taken = seconds();
    if (taken < best) {
      best = taken;
    } else {
      std::swap(candidate_, other);
    }
  }
  // The first plan is still expected to be the best where there is no memory for a trial.
  if (best == HUGE_VAL && !no_memory) {
    throw Error(ErrorCode::kUnsupported, "no plan of cuDNN runs for " + problem_key(problem_));
  }
}

void Convolution::run(cudnnHandle_t handle, const ConvolutionBuffers& buffers) const {
  const DType dtype = problem_.dtype;
  Addresses list;
  list.add(kTensorX, buffers.x, image_alignment(problem_.in_pixel_stride, dtype));
  if (candidate_.data_gradient) {
    list.add(kTensorW, buffers.adjoint_w, image_alignment(problem_.out_channels, dtype));
  } else {
    list.add(kTensorW, buffers.w, image_alignment(problem_.in_channels, dtype));
  }
  if (candidate_.packed) {
    list.add(kTensorOut, buffers.packed, image_alignment(problem_.out_channels, dtype));
  } else {
    list.add(kTensorOut, buffers.out, image_alignment(problem_.out_pixel_stride, dtype));
  }
  if ((candidate_.parts & kPartBias) != 0) list.add(kTensorBias, buffers.bias, 16);
  if ((candidate_.parts & kPartResidual) != 0) {
    list.add(kTensorResidual, buffers.residual, image_alignment(problem_.residual_pixel_stride, dtype));
  }
  if ((candidate_.parts & kPartScale) != 0) list.add(kTensorScale, &problem_.scale, alignof(float));
  require(buffers.workspace != nullptr || candidate_.plan.workspace_bytes == 0, "the convolution's workspace is null");
  const Descriptor pack = make_variant_pack(*library_, list.ids(), list.addresses(), buffers.workspace);
  check_cudnn(*library_, library_->execute(handle, candidate_.plan.descriptor.get(), pack.get()),
              "running the convolution");
}

}  // namespace dpm::cuda
