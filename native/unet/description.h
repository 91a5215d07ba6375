// The canonical U-Net: every checkpoint family is mapped to this before native code sees it.
#pragma once

#include <string>
#include <vector>

namespace dpm::unet {

/// One step over the current map h and the stack of skips. Weights carry `name` as prefix.
struct Block {
  enum class Kind {
    kPush,        ///< saves h
    kPop,         ///< h = concat(h, popped)
    kResidual,    ///< norm1, conv1, time_emb_proj, norm2, conv2[, conv_shortcut]
    kAttention,   ///< group_norm, to_q, to_k, to_v, to_out.0
    kDownsample,  ///< 3x3 convolution of stride 2
    kUpsample,    ///< nearest, then 3x3 convolution
  };
  enum class Resample { kNone, kMean, kNearest };

  Kind kind = Kind::kPush;
  std::string name;
  int groups1 = 0;
  int groups2 = 0;
  float epsilon = 0;
  bool scale_shift = false;
  Resample resample = Resample::kNone;
  bool shortcut = false;
  float scale = 1;
  int heads = 1;
  bool asymmetric = false;
};

/// A second output from the map that enters the output norm (NPR, SN).
struct Head {
  std::string prefix;
  bool complex = false;
  int groups = 0;
  float epsilon = 0;
};

struct Description {
  int in_channels = 0;
  int height = 0;
  int width = 0;
  bool center_input = false;
  int time_channels = 0;
  float frequency_shift = 0;
  bool cosine_first = false;
  int classes = 0;
  std::vector<Block> blocks;
  int output_groups = 0;
  float output_epsilon = 0;
  bool has_head = false;
  Head head;
};

}  // namespace dpm::unet
