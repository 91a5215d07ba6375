#include "cuda/dnn/attention.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "cuda/dnn/operations.h"

namespace dpm::cuda {
namespace {

// Version 9.13.0 has attention as one operation, which cuDNN's own front end does not use yet.
constexpr std::size_t kFirstVersion = 91301;
constexpr int kWidestHead = 256;

enum AttentionTensor : std::int64_t { kTensorQ = 1, kTensorK, kTensorV, kTensorOut, kTensorScale };

void check_problem(const CudnnLibrary& library, const AttentionProblem& p) {
  require(std::min({p.batch, p.heads, p.query_tokens, p.key_tokens, p.width}) >= 1,
          "a size of the attention is not positive");
  const std::array strides{p.q_token_stride, p.k_token_stride, p.v_token_stride, p.out_token_stride};
  require(*std::min_element(strides.begin(), strides.end()) >= std::int64_t{p.heads} * p.width,
          "a token stride of the attention is below its channels");
  const auto unsupported = [](const std::string& what) { throw Error(ErrorCode::kUnsupported, what); };
  if (library.version < kFirstVersion) unsupported("attention needs cuDNN 9.13.1");
  if (p.dtype == DType::kFloat32) unsupported("cuDNN's attention computes 16-bit types only");
  if (p.width % 8 != 0 || p.width > kWidestHead) unsupported("cuDNN's attention has no head this wide");
  // Rows are read in accesses of 16 bytes.
  if (std::any_of(strides.begin(), strides.end(), [](std::int64_t stride) { return stride % 8 != 0; })) {
    unsupported("cuDNN's attention needs token strides that are multiples of 8");
  }
}

Descriptor make_heads(const CudnnLibrary& library, const AttentionProblem& p, const char* what, AttentionTensor id,
                      int tokens, std::int64_t token_stride) {
  return make_tensor(library, {.what = what,
                               .id = id,
                               .dimensions = {p.batch, p.heads, tokens, p.width},
                               .strides = {tokens * token_stride, p.width, token_stride, 1},
                               .type = cudnn_type(p.dtype)});
}

Descriptor make_operation(const CudnnLibrary& library, const AttentionProblem& p) {
  const Descriptor scale = make_tensor(library, {.what = "attention scale",
                                                 .id = kTensorScale,
                                                 .dimensions = {1, 1, 1, 1},
                                                 .strides = {1, 1, 1, 1},
                                                 .type = CUDNN_DATA_FLOAT,
                                                 .alignment = 4,
                                                 .by_value = true});
  Descriptor operation(library, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR, "attention");
  operation.set(CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC,
                make_heads(library, p, "query tensor", kTensorQ, p.query_tokens, p.q_token_stride));
  operation.set(CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC,
                make_heads(library, p, "key tensor", kTensorK, p.key_tokens, p.k_token_stride));
  operation.set(CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC,
                make_heads(library, p, "value tensor", kTensorV, p.key_tokens, p.v_token_stride));
  operation.set(CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC,
                make_heads(library, p, "attention output", kTensorOut, p.query_tokens, p.out_token_stride));
  operation.set(CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale);
  operation.finalize();
  return operation;
}

Plan make_plan(const CudnnLibrary& library, const AttentionProblem& problem, const PlanTarget& target,
               std::int64_t workspace_limit) {
  check_problem(library, problem);
  const Descriptor operation = make_operation(library, problem);
  const Descriptor graph = make_graph(library, std::span(&operation, 1), target);
  std::vector<Plan> plans =
      find_plans(library, graph, target, {.workspace_limit = workspace_limit, .hopper_first = false}, 1);
  if (plans.empty()) throw Error(ErrorCode::kUnsupported, "cuDNN has no plan for " + problem_key(problem));
  return std::move(plans.front());
}

}  // namespace

Attention::Attention(const CudnnLibrary& library, const AttentionProblem& problem, const PlanTarget& target,
                     std::int64_t workspace_limit)
    : library_(&library), problem_(problem), plan_(make_plan(library, problem, target, workspace_limit)) {}

void Attention::run(cudnnHandle_t handle, const AttentionBuffers& buffers) const {
  const std::array<const void*, 4> given{buffers.q, buffers.k, buffers.v, buffers.out};
  for (const void* address : given) {
    require(address != nullptr, "an address of the attention is null");
    require(reinterpret_cast<std::uintptr_t>(address) % 16 == 0, "an address of the attention is not aligned");
  }
  require(buffers.workspace != nullptr || plan_.workspace_bytes == 0, "the attention's workspace is null");
  const std::array<std::int64_t, 5> ids{kTensorQ, kTensorK, kTensorV, kTensorOut, kTensorScale};
  const std::array<const void*, 5> addresses{given[0], given[1], given[2], given[3], &problem_.scale};
  const Descriptor pack = make_variant_pack(*library_, ids, addresses, buffers.workspace);
  check_cudnn(*library_, library_->execute(handle, plan_.descriptor.get(), pack.get()), "running the attention");
}

}  // namespace dpm::cuda
