// Complete description of an attention of the network.
#pragma once

#include <cstdint>
#include <string>

#include "core/dtype.h"

namespace dpm::cuda {

/// out = softmax(scale * q k^T) v, for every sample and head. All four are (tokens, heads * width) with
/// `*_token_stride` elements from one token to the next, at least heads * width, and no gap between samples; k and v
/// have `key_tokens` tokens, q and out `query_tokens`.
struct AttentionProblem {
  int batch = 1, heads = 1, query_tokens = 1, key_tokens = 1;
  /// Channels of one head.
  int width = 8;
  std::int64_t q_token_stride = 8, k_token_stride = 8, v_token_stride = 8, out_token_stride = 8;
  DType dtype = DType::kFloat16;
  float scale = 1;

  bool operator==(const AttentionProblem&) const = default;
};

/// Returns a key that is equal exactly for equal problems; it has letters, digits and `.-_` only.
std::string problem_key(const AttentionProblem& problem);

}  // namespace dpm::cuda
