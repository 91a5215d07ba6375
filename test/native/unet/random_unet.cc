#include "unet/random_unet.h"

#include <array>

#include "unet/builder.h"

namespace dpm::test {

using Kind = unet::Block::Kind;
using Resample = unet::Block::Resample;
using Classes = unet::Description::ClassEmbedding;

namespace {
constexpr std::array<int, 7> kWidths = {4, 8, 12, 16, 32, 48, 64};
constexpr std::array<int, 6> kSides = {4, 8, 12, 16, 6, 5};
}  // namespace

void RandomUNet::add_weight(const std::string& name, std::vector<std::int64_t> shape) {
  WeightLocation location{name, 0, DType::kFloat32, std::move(shape), 0, 0};
  if (hostile_ && one_in(32)) location.shape[static_cast<std::size_t>(choose_(2)) % location.shape.size()] += 1;
  if (hostile_ && one_in(16)) location.dtype = one_in(2) ? DType::kFloat16 : DType::kBFloat16;
  std::uint64_t elements = 1;
  for (const std::int64_t dim : location.shape) elements *= static_cast<std::uint64_t>(dim);
  location.bytes = elements * dtype_size(location.dtype);
  const std::uint64_t room = WeightFile::kFloats * 4;
  location.offset = static_cast<std::uint64_t>(choose_(256)) * 4096;
  if (location.bytes <= room) location.offset = std::min(location.offset, room - location.bytes) / 4 * 4;
  if (hostile_ && one_in(64)) location.offset = room - location.bytes + static_cast<std::uint64_t>(choose_(8));
  if (hostile_ && one_in(64)) location.bytes += static_cast<std::uint64_t>(choose_(4));
  if (location.shape.size() == 2 && one_in(6)) {
    location.view_dims = location.shape;
    location.view_strides = {hostile_ && one_in(8) ? choose_(8) - 1 : 1, location.shape[0]};
  }
  weights_.add(location);
}

void RandomUNet::add_layer(const std::string& name, std::vector<std::int64_t> shape) {
  const std::int64_t out = shape[0];
  add_weight(name + ".weight", std::move(shape));
  add_weight(name + ".bias", {out});
}

int RandomUNet::groups_of(int channels) {
  if (hostile_ && one_in(32)) return choose_(9) - 1;
  return channels % 4 == 0 && one_in(2) ? channels / 4 : channels % 2 == 0 ? 2 : 1;
}

void RandomUNet::add_residual(const std::string& name, int out, Resample resample) {
  unet::Block block;
  block.kind = Kind::kResidual;
  block.name = name;
  block.groups1 = groups_of(channels_);
  block.groups2 = groups_of(out);
  block.epsilon = 1e-5F;
  block.scale_shift = one_in(4);
  block.resample = resample;
  block.shortcut = out != channels_ || one_in(4);
  block.scale = one_in(3) ? 0.7071F : 1.0F;
  add_layer(name + ".norm1", {channels_});
  add_layer(name + ".conv1", {out, channels_, 3, 3});
  add_layer(name + ".time_emb_proj", {block.scale_shift ? 2 * out : out, embedding_});
  add_layer(name + ".norm2", {out});
  add_layer(name + ".conv2", {out, out, 3, 3});
  if (block.shortcut) add_layer(name + ".conv_shortcut", {out, channels_, 1, 1});
  description_.blocks.push_back(block);
  channels_ = out;
}

void RandomUNet::add_attention(const std::string& name) {
  unet::Block block;
  block.kind = Kind::kAttention;
  block.name = name;
  block.groups1 = one_in(4) ? 0 : groups_of(channels_);
  block.epsilon = 1e-5F;
  block.heads = channels_ % 4 == 0 ? 1 << choose_(3) : 1;
  block.scale = one_in(3) ? 0.7071F : 1.0F;
  if (block.groups1 > 0) add_layer(name + ".group_norm", {channels_});
  for (const char* part : {".to_q", ".to_k", ".to_v", ".to_out.0"}) add_layer(name + part, {channels_, channels_});
  description_.blocks.push_back(block);
}

void RandomUNet::add_resampling(Kind kind, const std::string& name) {
  unet::Block block;
  block.kind = kind;
  block.name = name;
  block.asymmetric = one_in(2);
  add_layer(name, {channels_, channels_, 3, 3});
  description_.blocks.push_back(block);
}

void RandomUNet::add_image(const std::string& name) {
  if (image_ == Kind::kPush) return;
  unet::Block block;
  if (image_ == Kind::kImageCombine) {
    block.kind = Kind::kImageResample;
    block.resample = filtered_ ? Resample::kFirDown : Resample::kMean;
    description_.blocks.push_back(block);
  }
  const int kernel = image_ == Kind::kImageCombine ? 1 : 3;
  block.kind = image_;
  block.name = name;
  block.filtered = filtered_;
  block.scale = one_in(2) ? 0.7071F : 1.0F;
  block.concat = image_ == Kind::kImageCombine && one_in(2);
  add_layer(name, {channels_, image_channels_, kernel, kernel});
  description_.blocks.push_back(block);
  if (block.concat) channels_ *= 2;
  if (image_ == Kind::kImageResidual) image_channels_ = channels_;
}

void RandomUNet::add_result(const std::string& name) {
  if (!has_result_) return;
  unet::Block block;
  block.kind = Kind::kResultAdd;
  block.name = name;
  block.norm = name + ".norm";
  block.groups1 = groups_of(channels_);
  block.epsilon = 1e-5F;
  add_layer(block.norm, {channels_});
  add_layer(name, {out_channels_, channels_, 3, 3});
  description_.blocks.push_back(block);
}

void RandomUNet::pop() {
  unet::Block block;
  block.kind = Kind::kPop;
  description_.blocks.push_back(block);
  channels_ += skips_.back();
  skips_.pop_back();
}

void RandomUNet::level(int depth) {
  const int layers = 1 + choose_(2);
  const auto width = [this] { return kWidths[static_cast<std::size_t>(choose_(kWidths.size()))]; };
  const std::size_t before = skips_.size();
  for (int i = 0; i < layers; ++i) {
    if (one_in(2)) add_residual(next_name("residual"), width(), Resample::kNone);
    if (one_in(3)) add_attention(next_name("attention"));
    description_.blocks.emplace_back();
    skips_.push_back(channels_);
  }
  if (depth > 0) {
    if (one_in(2)) {
      add_residual(next_name("down"), width(), one_in(2) ? Resample::kMean : Resample::kFirDown);
    } else {
      add_resampling(Kind::kDownsample, next_name("down"));
    }
    add_image(next_name("image"));
    level(depth - 1);
    if (has_result_) {
      unet::Block block;
      block.kind = Kind::kResultResample;
      block.resample = filtered_ ? Resample::kFirUp : Resample::kNearest;
      description_.blocks.push_back(block);
    }
    if (one_in(2)) {
      add_residual(next_name("up"), width(), one_in(2) ? Resample::kNearest : Resample::kFirUp);
    } else {
      add_resampling(Kind::kUpsample, next_name("up"));
    }
  } else if (one_in(2)) {
    add_attention(next_name("attention"));
  }
  while (skips_.size() > before) {
    pop();
    add_residual(next_name("residual"), width(), Resample::kNone);
  }
  add_result(next_name("result"));
}

void RandomUNet::describe_times() {
  unet::Description& d = description_;
  d.time_channels = 2 * (2 + choose_(8));
  d.frequency_shift = one_in(2) ? 1.0F : 0.0F;
  d.cosine_first = one_in(2);
  d.fourier = one_in(4);
  d.logarithmic = one_in(4);
  d.time_rows = !d.fourier && one_in(4);
  d.classes = one_in(3) ? 3 : 0;
  constexpr std::array kClasses = {Classes::kRow, Classes::kScaledRow, Classes::kTime};
  d.class_embedding = kClasses[static_cast<std::size_t>(choose_(kClasses.size()))];
  // A label may be 0, which has no logarithm.
  if (d.classes > 0 && d.class_embedding == Classes::kTime) d.logarithmic = false;
  d.divides_by_time = one_in(4);
  if (d.divides_by_time && one_in(2)) d.divisors.assign(512, 1.5F);
  embedding_ = 8 * (1 + choose_(4));
  if (d.fourier) add_weight("time_proj.weight", {d.time_channels / 2});
  if (d.time_rows) add_weight("time_proj.weight", {200, d.time_channels});
  add_layer("time_embedding.linear_1", {embedding_, d.time_channels});
  add_layer("time_embedding.linear_2", {embedding_, embedding_});
  if (d.classes > 0) describe_classes();
}

void RandomUNet::describe_classes() {
  const unet::Description& d = description_;
  switch (d.class_embedding) {
    case Classes::kRow:
      add_weight("class_embedding.weight", {d.classes, embedding_});
      return;
    case Classes::kScaledRow:
      add_weight("class_embedding.weight", {d.classes, d.time_channels});
      add_weight("class_embedding.bias", {d.time_channels});
      return;
    case Classes::kTime:
      add_layer("class_embedding.linear_1", {embedding_, d.time_channels});
      add_layer("class_embedding.linear_2", {embedding_, embedding_});
  }
}

void RandomUNet::describe_output() {
  unet::Description& d = description_;
  d.result_alone = has_result_ && one_in(2);
  d.output_groups = groups_of(channels_);
  d.output_epsilon = 1e-5F;
  add_layer("conv_norm_out", {channels_});
  add_layer("conv_out", {out_channels_, channels_, 3, 3});
  if (!one_in(3)) return;
  d.has_head = true;
  d.head = {"head", false, groups_of(channels_), 1e-5F};
  add_layer("head.norm_out", {channels_});
  add_layer("head.conv_out", {d.in_channels, channels_, 3, 3});
}

void RandomUNet::describe() {
  unet::Description& d = description_;
  batch_ = 1 + choose_(4);
  d.in_channels = 1 + choose_(4);
  const auto side = [this] { return kSides[static_cast<std::size_t>(choose_(kSides.size()))]; };
  d.height = side();
  d.width = one_in(3) ? side() : d.height;
  d.center_input = one_in(4);
  describe_times();
  constexpr std::array kImages = {Kind::kPush, Kind::kPush, Kind::kImageCombine, Kind::kImageResidual};
  image_ = kImages[static_cast<std::size_t>(choose_(kImages.size()))];
  filtered_ = one_in(2);
  has_result_ = one_in(3);
  image_channels_ = d.in_channels;
  out_channels_ = 1 + choose_(4);
  channels_ = kWidths[static_cast<std::size_t>(choose_(kWidths.size()))];
  add_layer("conv_in", {channels_, d.in_channels, 3, 3});
  level(choose_(3));
  describe_output();
}

std::vector<float> RandomUNet::run(const std::shared_ptr<Device>& device) const {
  Network network(device, unet::build_graph(description_, weights_),
                  {description_.classes, description_.divides_by_time, description_.divisors});
  return evaluate_twice(network, batch_);
}

}  // namespace dpm::test
