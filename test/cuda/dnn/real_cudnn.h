// The installed cuDNN for tests that need no GPU.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "cuda/dnn/library.h"
#include "cuda/dnn/plan.h"
#include "described_card.h"

namespace dpm::cuda {

class RealCudnn : public testing::Test {
 public:
  [[nodiscard]] const CudnnLibrary& library() const { return *library_; }

 protected:
  void SetUp() override {
    std::string reason;
    library_ = real_cudnn(&reason);
    if (library_ == nullptr) GTEST_SKIP() << "skipped: no cuDNN library\n" << reason;
  }

 private:
  const CudnnLibrary* library_ = nullptr;
};

/// Fixture for plans for an H100 that is only described.
class RealCudnnForCard : public RealCudnn {
 public:
  [[nodiscard]] PlanTarget target() const { return {nullptr, &*device_, 90}; }

 protected:
  void SetUp() override {
    RealCudnn::SetUp();
    if (IsSkipped()) return;
    // A driver would refuse kernels for another GPU than its own.
    if (has_driver()) GTEST_SKIP() << "skipped: there is a driver";
    device_.emplace(make_device(library(), card_json("h100")));
  }

 private:
  std::optional<Descriptor> device_;
};

}  // namespace dpm::cuda
