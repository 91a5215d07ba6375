// A network of two residual blocks, a skip and an attention, with random weights.
#pragma once

#include <memory>
#include <string>

#include "engine/network.h"
#include "graph_maker.h"

namespace dpm::test {

enum class SecondOutput {
  kNone,
  kHead,
  kLearned,  ///< a second output behind the prediction's channels
};

class SmallNetwork {
 public:
  static constexpr int kChannels = 8;
  static constexpr int kSide = 8;
  static constexpr std::uint32_t kElements = 2 * kSide * kSide;

  explicit SmallNetwork(SecondOutput second = SecondOutput::kNone) {
    const int image = maker_.image(2, kSide, kSide);
    const int sinusoid = maker_.add(DPM_OP_TIME_EMBEDDING, {maker_.time()}, graph::TimeEmbedding{8, 1.0F});
    const int embedded = layer(maker_.silu(layer(sinusoid, 16, 1)), 16, 1);
    embedding_ = maker_.silu(maker_.sum(embedded, maker_.row(maker_.label(), 3, 16)));
    const int first = layer(image, kChannels, 3);
    int x = attention(residual(first));
    x = residual(maker_.add(DPM_OP_CONCAT, {x, first}));
    const int last = maker_.silu(norm(x));
    maker_.output(layer(last, second == SecondOutput::kLearned ? 4 : 2, 3));
    if (second == SecondOutput::kHead) maker_.head(layer(last, 2, 3));
  }

  [[nodiscard]] const graph::Graph& graph() const { return maker_.graph(); }
  static NetworkOptions options() { return {3, false, {}}; }

  [[nodiscard]] std::unique_ptr<Network> load(const std::string& device, int threads = 2) const {
    return std::make_unique<Network>(Device::open(device, {threads, false}), graph(), options());
  }

 private:
  int layer(int input, int outputs, int kernel) {
    return maker_.bias(maker_.convolution(input, outputs, same_size(kernel)));
  }
  int norm(int input) { return maker_.norm(input, 4, 1e-6F); }

  int residual(int input) {
    int h = layer(maker_.silu(norm(input)), kChannels, 3);
    h = maker_.add(DPM_OP_CHANNEL_ADD, {h, layer(embedding_, kChannels, 1)});
    h = layer(maker_.silu(norm(h)), kChannels, 3);
    return maker_.sum(h, maker_.channels(input) == kChannels ? input : layer(input, kChannels, 1));
  }

  int attention(int input) {
    const int normed = norm(input);
    const int query = layer(normed, kChannels, 1);
    const int key = layer(normed, kChannels, 1);
    const int value = layer(normed, kChannels, 1);
    return maker_.sum(layer(maker_.attention(query, key, value, 1), kChannels, 1), input);
  }

  RandomValues random_{1};
  GraphMaker maker_{random_};
  int embedding_ = -1;
};

}  // namespace dpm::test
