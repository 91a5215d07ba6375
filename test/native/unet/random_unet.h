// Networks made up from a stream of choices: a U of residual blocks, attention and resampling, with their weights.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/network.h"
#include "evaluate_network.h"
#include "unet/description.h"
#include "weight_file.h"
#include "weights/weights.h"

namespace dpm::test {

class RandomUNet {
 public:
  /// `choose(n)` is one of 0 .. n - 1. With `hostile`, some weights and numbers are wrong.
  RandomUNet(std::function<int(int)> choose, const WeightFile& file, bool hostile)
      : choose_(std::move(choose)), hostile_(hostile) {
    weights_.add_file(file.path());
    describe();
  }

  [[nodiscard]] const unet::Description& description() const { return description_; }
  [[nodiscard]] const Weights& weights() const { return weights_; }
  [[nodiscard]] int batch() const { return batch_; }

  /// The output of the network on a device; twice, the second time from what the first has left in its tables.
  [[nodiscard]] std::vector<float> run(const std::shared_ptr<Device>& device) const;

 private:
  bool one_in(int n) { return choose_(n) == n - 1; }
  void describe();
  void level(int depth);
  void add_residual(const std::string& name, int out, unet::Block::Resample resample);
  void add_attention(const std::string& name);
  void add_resampling(unet::Block::Kind kind, const std::string& name);
  void add_image(const std::string& name);
  void add_result(const std::string& name);
  void describe_times();
  void describe_classes();
  void describe_output();
  void pop();
  int groups_of(int channels);
  void add_weight(const std::string& name, std::vector<std::int64_t> shape);
  void add_layer(const std::string& name, std::vector<std::int64_t> shape);
  std::string next_name(const char* kind) { return kind + std::to_string(description_.blocks.size()); }

  std::function<int(int)> choose_;
  bool hostile_;
  unet::Description description_;
  Weights weights_;
  int batch_ = 1;
  int channels_ = 0;
  int embedding_ = 0;
  /// How the image and the result go beside the map, if they do.
  unet::Block::Kind image_ = unet::Block::Kind::kPush;
  bool filtered_ = false;
  bool has_result_ = false;
  int image_channels_ = 0;
  int out_channels_ = 0;
  std::vector<int> skips_;
};

}  // namespace dpm::test
