// The canonical U-Net: every checkpoint family is mapped to this before native code sees it.
#pragma once

#include <string>
#include <vector>

namespace dpm::unet {

/// One step over the current map h, the stack of skips, the image that accompanies h down (at first the input) and the
/// result that grows on the way up (at first nothing). Weights carry `name` as prefix.
struct Block {
  enum class Kind {
    kPush,        ///< saves h
    kPop,         ///< h = concat(h, popped)
    kResidual,    ///< norm1, conv1, time_emb_proj, norm2, conv2[, conv_shortcut]
    kAttention,   ///< group_norm, to_q, to_k, to_v, to_out.0
    kDownsample,  ///< 3x3 convolution of stride 2
    kUpsample,    ///< nearest, then 3x3 convolution
    kResample,
    kImageResample,
    kImageCombine,   ///< p = 1x1 convolution of the image; h = p + h, or concat(p, h)
    kImageResidual,  ///< image = h = (p + h) * scale, p the image through a 3x3 convolution of stride 2, or a filtered
                     ///< one
    kResultAdd,      ///< result += 3x3 convolution of SiLU(group norm `norm` of h)
    kResultResample,
  };
  enum class Resample { kNone, kMean, kNearest, kFirDown, kFirUp };

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
  bool concat = false;
  bool filtered = false;
  std::string norm;
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
  /// Fourier features of the weight time_proj.weight instead of sinusoids; of the time's logarithm.
  bool fourier = false;
  bool logarithmic = false;
  /// Rows of the table time_proj.weight instead of sinusoids, for truncated times.
  bool time_rows = false;
  int classes = 0;
  enum class ClassEmbedding {
    kRow,        ///< a row of class_embedding.weight is added behind the MLP of the time
    kScaledRow,  ///< the row, times sqrt(classes) and with class_embedding.bias, is added before it
    kTime,  ///< the label is embedded like a time, with an MLP of its own (class_embedding.linear_1, linear_2), behind
            ///< it
  };
  ClassEmbedding class_embedding = ClassEmbedding::kRow;
  std::vector<Block> blocks;
  /// No output norm and convolution: the result is the output.
  bool result_alone = false;
  /// Outputs are divided by the time, or by the entry of this table at the truncated time.
  bool divides_by_time = false;
  std::vector<float> divisors;
  int output_groups = 0;
  float output_epsilon = 0;
  bool has_head = false;
  Head head;
};

}  // namespace dpm::unet
