// Networks whose graphs the emulated device captures, and tensors whose contents show which work has run.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda_device.h"
#include "engine/network.h"
#include "graph_maker.h"

namespace dpm::test {

constexpr int kChannels = 2;
constexpr int kSide = 4;
constexpr std::uint64_t kElements = kChannels * kSide * kSide;
constexpr std::uint32_t kBatch = 2;
constexpr int kMostBatch = 4;
/// Rows of every tensor: enough for the rows that a wrong stride or batch would reach, and for the noise of every step.
constexpr std::size_t kRows = 24;

/// A network with a convolution of the image, and with time and label, as output and as head.
class ConditionalNetwork {
 public:
  ConditionalNetwork() {
    const int image = maker_.image(kChannels, kSide, kSide);
    const int sinusoid = maker_.add(DPM_OP_TIME_EMBEDDING, {maker_.time()}, graph::TimeEmbedding{8});
    const int embedding = maker_.sum(sinusoid, maker_.row(maker_.label(), 5, 8));
    const int map = maker_.convolution(image, 8, same_size(3));
    const int conditioned = maker_.add(DPM_OP_CHANNEL_ADD, {map, maker_.convolution(embedding, 8, same_size(1))});
    maker_.graph().bind_output(maker_.convolution(conditioned, kChannels, same_size(3)), DPM_BINDING_HEAD);
    maker_.output(maker_.convolution(maker_.silu(conditioned), kChannels, same_size(3)));
  }

  [[nodiscard]] std::unique_ptr<Network> load(const std::shared_ptr<Device>& device,
                                              Derivative derivative = Derivative::kNone) const {
    auto network = std::make_unique<Network>(device, maker_.graph(), NetworkOptions{5, false, {}, derivative});
    network->reserve(kMostBatch);
    return network;
  }

 private:
  RandomValues random_{1};
  GraphMaker maker_{random_};
};

/// A tensor and its contents before a run.
class Tensor {
 public:
  template <typename T>
  Tensor(const std::shared_ptr<Device>& device, const std::vector<T>& values)
      : contents_(reinterpret_cast<const char*>(values.data()),
                  reinterpret_cast<const char*>(values.data() + values.size())),
        buffer_(device->allocate(contents_.size())) {}

  void reset() const { buffer_->upload(0, contents_.data(), contents_.size()); }
  [[nodiscard]] std::string contents() const {
    std::string now(contents_.size(), '\0');
    buffer_->download(0, now.data(), now.size());
    return now;
  }
  [[nodiscard]] dpm_view view(std::uint64_t stride = kElements) const { return buffer_->view(stride); }

 private:
  std::string contents_;
  std::shared_ptr<Buffer> buffer_;
};

class CapturedGraphs : public CudaDevice {
 protected:
  const Tensor& image() {
    tensors_.emplace_back(device_, random_.normals(kRows * kElements));
    return tensors_.back();
  }
  const Tensor& times() {
    tensors_.emplace_back(device_, random_.normals(kRows, 100, 500));
    return tensors_.back();
  }
  const Tensor& labels(std::int32_t first) {
    std::vector<std::int32_t> values(kRows);
    for (std::size_t row = 0; row < kRows; ++row) values[row] = (first + static_cast<std::int32_t>(row)) % 5;
    tensors_.emplace_back(device_, values);
    return tensors_.back();
  }

  /// Returns the contents of all tensors after `run`.
  std::vector<std::string> after(const std::function<void()>& run) const {
    for (const Tensor& tensor : tensors_) tensor.reset();
    run();
    std::vector<std::string> contents;
    contents.reserve(tensors_.size());
    for (const Tensor& tensor : tensors_) contents.push_back(tensor.contents());
    return contents;
  }

  static std::uint64_t launches(const std::function<void()>& body) {
    emulation().reset_counters();
    body();
    return emulation().counters().graph_launches;
  }

  RandomValues random_{7};
  ConditionalNetwork made_;
  std::deque<Tensor> tensors_;
};

}  // namespace dpm::test
