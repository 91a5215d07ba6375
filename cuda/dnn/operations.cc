#include "cuda/dnn/operations.h"

namespace dpm::cuda {

Descriptor make_tensor(const CudnnLibrary& library, const TensorSpec& spec) {
  Descriptor tensor(library, CUDNN_BACKEND_TENSOR_DESCRIPTOR, spec.what);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, spec.id);
  tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, spec.type);
  tensor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const std::int64_t>(spec.dimensions));
  tensor.set(CUDNN_ATTR_TENSOR_STRIDES, std::span<const std::int64_t>(spec.strides));
  tensor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, spec.alignment);
  if (spec.is_virtual) tensor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
  if (spec.by_value) tensor.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true);
  tensor.finalize();
  return tensor;
}

Descriptor make_pointwise(const CudnnLibrary& library, cudnnPointwiseMode_t mode, const Descriptor& x,
                          const Descriptor* b, const Descriptor& y, const char* what) {
  Descriptor kind(library, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, what);
  kind.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  kind.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  kind.finalize();
  Descriptor operation(library, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, what);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
  if (b != nullptr) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  operation.finalize();
  return operation;
}

Descriptor make_variant_pack(const CudnnLibrary& library, std::span<const std::int64_t> ids,
                             std::span<const void* const> addresses, void* workspace) {
  Descriptor pack(library, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "list of addresses");
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, addresses);
  const void* const scratch = workspace;
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, std::span(&scratch, 1));
  pack.finalize();
  return pack;
}

}  // namespace dpm::cuda
