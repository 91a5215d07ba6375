// A network of two residual blocks, a skip and an attention, with random weights.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/network.h"
#include "weight_file.h"

namespace dpm::test {

class SmallNetwork {
 public:
  static constexpr int kChannels = 8;
  static constexpr int kSide = 8;
  static constexpr std::uint32_t kElements = 2 * kSide * kSide;
  static constexpr std::uint64_t kFileFloats = 20000;

  static unet::Description description() {
    unet::Description d;
    d.in_channels = 2;
    d.height = d.width = kSide;
    d.time_channels = 8;
    d.frequency_shift = 1;
    d.classes = 3;
    d.output_groups = 4;
    d.output_epsilon = 1e-6F;
    using Kind = unet::Block::Kind;
    const auto block = [](Kind kind, const char* name) {
      unet::Block result;
      result.kind = kind;
      result.name = name;
      result.groups1 = result.groups2 = 4;
      result.epsilon = 1e-6F;
      return result;
    };
    unet::Block up = block(Kind::kResidual, "up");
    up.shortcut = true;
    d.blocks = {block(Kind::kPush, ""), block(Kind::kResidual, "down"), block(Kind::kAttention, "attention"),
                block(Kind::kPop, ""), up};
    return d;
  }

  Weights weights() {
    Weights w;
    w.add_file(file_.path());
    position_ = 0;
    add_layer(w, "conv_in", {kChannels, 2, 3, 3});
    add_layer(w, "time_embedding.linear_1", {16, 8});
    add_layer(w, "time_embedding.linear_2", {16, 16});
    add(w, "class_embedding.weight", {3, 16});
    add_residual(w, "down", kChannels);
    add_layer(w, "attention.group_norm", {kChannels});
    for (const char* part : {"to_q", "to_k", "to_v", "to_out.0"}) {
      add_layer(w, std::string("attention.") + part, {kChannels, kChannels});
    }
    add_residual(w, "up", 2 * kChannels);
    add_layer(w, "up.conv_shortcut", {kChannels, 2 * kChannels, 1, 1});
    add_layer(w, "conv_norm_out", {kChannels});
    add_layer(w, "conv_out", {2, kChannels, 3, 3});
    return w;
  }

  std::unique_ptr<Network> load(const std::string& device, int threads = 2) {
    return std::make_unique<Network>(Device::open(device, {threads, false}), description(), weights());
  }

 private:
  void add(Weights& weights, const std::string& name, std::vector<std::int64_t> shape) {
    std::uint64_t elements = 1;
    for (const std::int64_t dim : shape) elements *= static_cast<std::uint64_t>(dim);
    weights.add({name, 0, DType::kFloat32, std::move(shape), position_, elements * 4});
    position_ += elements * 4;
  }

  void add_layer(Weights& weights, const std::string& name, std::vector<std::int64_t> shape) {
    const std::int64_t out = shape[0];
    add(weights, name + ".weight", std::move(shape));
    add(weights, name + ".bias", {out});
  }

  void add_residual(Weights& weights, const std::string& name, std::int64_t in) {
    add_layer(weights, name + ".norm1", {in});
    add_layer(weights, name + ".conv1", {kChannels, in, 3, 3});
    add_layer(weights, name + ".time_emb_proj", {kChannels, 16});
    add_layer(weights, name + ".norm2", {kChannels});
    add_layer(weights, name + ".conv2", {kChannels, kChannels, 3, 3});
  }

  WeightFile file_{kFileFloats};
  std::uint64_t position_ = 0;
};

}  // namespace dpm::test
