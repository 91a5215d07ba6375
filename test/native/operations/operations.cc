#include "operations/operations.h"

namespace dpm::test {

const std::vector<Operation>& operations() {
  static const std::vector<Operation> table = {
      {"Activation", activation_cases()},
      {"ActivationBackward", activation_backward_cases()},
      {"Add", add_cases()},
      {"Affine", affine_cases()},
      {"Attention", attention_cases()},
      {"AttentionDerivative", attention_derivative_cases()},
      {"Bias", bias_cases()},
      {"ChannelAdd", channel_add_cases()},
      {"Concat", concat_cases()},
      {"Convolution", convolution_cases()},
      {"ConvolutionWeights", convolution_weights_cases()},
      {"Dropout", dropout_cases()},
      {"Embedding", embedding_cases()},
      {"EmbeddingWeights", embedding_weights_cases()},
      {"Fir", fir_cases()},
      {"FusedConvolution", fused_convolution_cases()},
      {"Geglu", geglu_cases()},
      {"GegluBackward", geglu_backward_cases()},
      {"GroupNorm", group_norm_cases()},
      {"GroupNormDerivative", group_norm_derivative_cases()},
      {"GroupNormVector", group_norm_vector_cases()},
      {"LabelScore", label_score_cases()},
      {"LayerNorm", layer_norm_cases()},
      {"LayerNormBackward", layer_norm_backward_cases()},
      {"Position", position_cases()},
      {"Resample", resample_cases()},
      {"RowSum", row_sum_cases()},
      {"ScaleShift", scale_shift_cases()},
      {"Separable", separable_cases()},
      {"SquareScore", square_score_cases()},
      {"TimeEmbedding", time_embedding_cases()},
      {"View", view_cases()},
      {"Winograd", winograd_cases()},
  };
  return table;
}

}  // namespace dpm::test
