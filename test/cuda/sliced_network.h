// A network that is computed in slices, the shares of which counters add up, as soon as a batch is small enough.
#pragma once

#include <memory>
#include <vector>

#include "cuda_device.h"
#include "engine/network.h"
#include "graph_maker.h"

namespace dpm::test {

/// Of what size a batch is that needs the most scratch memory. Where it is a smaller one the network takes no labels:
/// what follows from times alone is kept from run to run.
enum class MostScratch { kOfLargest, kOfSmaller };

class SlicedNetwork {
 public:
  /// More than the kernel for small maps takes: 12 samples of 81 pixels.
  static constexpr int kMostBatch = 16;

  explicit SlicedNetwork(MostScratch most = MostScratch::kOfLargest)
      : classes_(most == MostScratch::kOfLargest ? 3 : 0) {
    const int image = maker_.image(2, kSide, kSide);
    const int sinusoid = maker_.add(DPM_OP_TIME_EMBEDDING, {maker_.time()}, graph::TimeEmbedding{8, 1.0F});
    const int embedded =
        maker_.silu(classes_ == 0 ? sinusoid : maker_.sum(sinusoid, maker_.row(maker_.label(), classes_, 8)));
    int map = -1;
    if (most == MostScratch::kOfLargest) {
      // What libraries write beside other channels is packed first: in scratch memory.
      const int left = maker_.convolution(image, kChannels / 2, same_size(1));
      map = maker_.add(DPM_OP_CONCAT, {left, maker_.convolution(image, kChannels / 2, same_size(1))});
    } else {
      map = maker_.convolution(image, kChannels, same_size(1));
    }
    map = maker_.add(DPM_OP_CHANNEL_ADD, {map, maker_.convolution(embedded, kChannels, same_size(1))});
    map = maker_.convolution(maker_.silu(maker_.norm(map, 4, 1e-6F)), 8, same_size(1));
    maker_.output(maker_.convolution(map, 2, same_size(3)));
  }

  /// On a device of its own, in 16 bits; `reserved` samples are prepared.
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
