// A network that is computed in slices, whose shares are counted and added up, as soon as a batch is small enough.
#pragma once

#include <memory>
#include <vector>

#include "cuda_device.h"
#include "engine/network.h"
#include "graph_maker.h"

namespace dpm::test {

/// The size of the batch that needs the most scratch memory. Where it is a smaller one the network takes no labels:
/// results of times alone are kept from run to run.
enum class MostScratch { kOfLargest, kOfSmaller };

class SlicedNetwork {
 public:
  /// Batch above the limit of the kernel for small maps: 12 samples of 81 pixels.
  static constexpr int kMostBatch = 16;

  explicit SlicedNetwork(MostScratch most = MostScratch::kOfLargest)
      : classes_(most == MostScratch::kOfLargest ? 3 : 0) {
    const int image = maker_.image(2, kSide, kSide);
    const int sinusoid = maker_.add(DPM_OP_TIME_EMBEDDING, {maker_.time()}, graph::TimeEmbedding{8, 1.0F});
    const int embedded =
        maker_.silu(classes_ == 0 ? sinusoid : maker_.sum(sinusoid, maker_.row(maker_.label(), classes_, 8)));
    int map = -1;
    if (most == MostScratch::kOfLargest) {
      // Libraries write a result beside other channels packed first, into scratch memory.
      const int left = maker_.convolution(image, kChannels / 2, same_size(1));
      map = maker_.add(DPM_OP_CONCAT, {left, maker_.convolution(image, kChannels / 2, same_size(1))});
    } else {
      map = maker_.convolution(image, kChannels, same_size(1));
    }
    map = maker_.add(DPM_OP_CHANNEL_ADD, {map, maker_.convolution(embedded, kChannels, same_size(1))});
    map = maker_.convolution(maker_.silu(maker_.norm(map, 4, 1e-6F)), 8, same_size(1));
    maker_.output(maker_.convolution(map, 2, same_size(3)));
  }

  /// Loads the network on a device of its own, in 16 bits; `reserved` samples are prepared.
  [[nodiscard]] std::unique_ptr<Network> load(int reserved = kMostBatch) const {
    DeviceOptions options;
    options.dtype = DType::kBFloat16;
    auto network =
        std::make_unique<Network>(Device::open("cuda:0", options), maker_.graph(), NetworkOptions{classes_, false, {}});
    if (reserved > 0) network->reserve(reserved);
    return network;
  }

 private:
  static constexpr int kSide = 9;
  static constexpr int kChannels = 64;

  int classes_;
  RandomValues random_{5};
  GraphMaker maker_{random_};
};

}  // namespace dpm::test
