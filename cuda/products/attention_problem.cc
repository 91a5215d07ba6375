#include "cuda/products/attention_problem.h"

#include <bit>
#include <sstream>

namespace dpm::cuda {

std::string problem_key(const AttentionProblem& p) {
  std::ostringstream key;
  key.imbue(std::locale::classic());
  key << "attention-n" << p.batch << "-h" << p.heads << '.' << p.query_tokens << '.' << p.key_tokens << '.' << p.width
      << "-s" << p.q_token_stride << '.' << p.k_token_stride << '.' << p.v_token_stride << '.' << p.out_token_stride
      << "-t" << static_cast<unsigned>(p.dtype) << '.' << std::hex << std::bit_cast<std::uint32_t>(p.scale);
  return key.str();
}

}  // namespace dpm::cuda
