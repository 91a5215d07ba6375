#include "graph/operation.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "core/error.h"

namespace dpm::graph {
namespace {

constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
constexpr Count kNone{0, 0};
constexpr Count kOne{1, 1};

const Operation kOperations[] = {
    {DPM_OP_TIME_EMBEDDING, "time_embedding", 1, 1, kOne, {0, 1}, kNone, TimeEmbedding{}},
    {DPM_OP_EMBEDDING, "embedding", 1, 1, kOne, kOne, kNone, {}},
    {DPM_OP_CONVOLUTION, "convolution", 1, 3, kOne, {1, kAny}, {0, kAny}, Convolution{}},
    {DPM_OP_GROUP_NORM, "group_norm", 1, 3, kOne, kOne, {1, 2}, GroupNorm{}},
    {DPM_OP_ATTENTION, "attention", 3, 4, kOne, kNone, kNone, Attention{}},
    {DPM_OP_BIAS, "bias", 1, 1, kOne, kNone, kOne, {}},
    {DPM_OP_CHANNEL_ADD, "channel_add", 2, 2, kOne, kNone, kNone, {}},
    {DPM_OP_SCALE_SHIFT, "scale_shift", 2, 2, kOne, kNone, kNone, {}},
    {DPM_OP_SILU, "silu", 1, 1, kOne, kNone, kNone, {}},
    {DPM_OP_ADD, "add", 2, 2, kOne, kNone, kNone, {}},
    {DPM_OP_AFFINE, "affine", 1, 1, kOne, kNone, kNone, Affine{}},
    {DPM_OP_CONCAT, "concat", 2, 2, kOne, kNone, kNone, {}},
    {DPM_OP_UPSAMPLE, "upsample", 1, 1, kOne, kNone, kNone, Upsample{}},
    {DPM_OP_AVERAGE_POOL, "average_pool", 1, 1, kOne, kNone, kNone, {}},
    {DPM_OP_FIR_UPSAMPLE, "fir_upsample", 1, 1, kOne, kNone, kNone, FirUpsample{}},
    {DPM_OP_FIR_DOWNSAMPLE, "fir_downsample", 1, 1, kOne, kNone, kNone, FirDownsample{}},
    {DPM_OP_ACTIVATION, "activation", 1, 1, kOne, kNone, kNone, Activation{}},
    {DPM_OP_VIEW, "view", 1, 1, kOne, kNone, kNone, View{}},
    {DPM_OP_ZERO_UPSAMPLE, "zero_upsample", 1, 1, kOne, kNone, kNone, {}},
    {DPM_OP_ACTIVATION_BACKWARD, "activation_backward", 2, 2, kOne, kNone, kNone, Activation{}},
    {DPM_OP_GROUP_NORM_BACKWARD, "group_norm_backward", 2, 3, {1, 2}, kOne, kOne, GroupNorm{}},
    {DPM_OP_GROUP_NORM_TANGENT, "group_norm_tangent", 2, 3, kOne, kOne, kOne, GroupNorm{}},
    {DPM_OP_ATTENTION_BACKWARD, "attention_backward", 4, 4, {1, 2}, kNone, kNone, Attention{}},
    {DPM_OP_ATTENTION_TANGENT, "attention_tangent", 6, 6, kOne, kNone, kNone, Attention{}},
    {DPM_OP_SEPARABLE, "separable", 1, 1, kOne, {2, 2}, kNone, {}},
    {DPM_OP_POSITION, "position", 1, 1, kOne, kNone, kOne, {}},
    {DPM_OP_LABEL_SCORE, "label_score", 2, 2, kOne, kNone, kNone, {}},
    {DPM_OP_CONVOLUTION_WEIGHTS, "convolution_weights", 2, 2, kOne, kNone, kNone, Convolution{}},
    {DPM_OP_ROW_SUM, "row_sum", 1, 1, kOne, kNone, kNone, {}},
    {DPM_OP_EMBEDDING_WEIGHTS, "embedding_weights", 2, 2, kOne, kNone, kNone, EmbeddingWeights{}},
    {DPM_OP_GROUP_NORM_VECTOR, "group_norm_vector", 1, 1, kOne, kOne, kOne, {}},
    {DPM_OP_SQUARE_SCORE, "square_score", 3, 4, kOne, kNone, kNone, {}},
    {DPM_OP_LAYER_NORM, "layer_norm", 1, 1, kOne, kOne, kOne, LayerNorm{}},
    {DPM_OP_GEGLU, "geglu", 1, 1, kOne, kNone, kNone, {}},
    {DPM_OP_DROPOUT, "dropout", 2, 2, kOne, kNone, kNone, Dropout{}},
    {DPM_OP_LAYER_NORM_BACKWARD, "layer_norm_backward", 2, 2, {1, 2}, kOne, kNone, LayerNorm{}},
    {DPM_OP_GEGLU_BACKWARD, "geglu_backward", 2, 2, kOne, kNone, kNone, {}},
};
static_assert(std::size(kOperations) == DPM_OP_COUNT, "one row an operation, in their order");

}  // namespace

const Operation& operation_of(dpm_op op) {
  const auto index = static_cast<std::size_t>(op);
  require(index < std::size(kOperations), "there is no such operation");
  return kOperations[index];
}

const Operation* find_operation(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kOperations), std::end(kOperations),
                                         [&](const Operation& operation) { return name == operation.name; });
  return found == std::end(kOperations) ? nullptr : found;
}

}  // namespace dpm::graph
