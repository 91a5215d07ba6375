// Tensors and operations of a cuDNN graph, as finished descriptors.
#pragma once

#include <array>
#include <cstdint>

#include "cuda/dnn/descriptor.h"

namespace dpm::cuda {

/// A four-dimensional tensor. Dimensions and strides are those of cuDNN: batch, channels, height, width for images, no
/// matter what their order in memory is; strides are in elements.
struct TensorSpec {
  const char* what;
  std::int64_t id;
  std::array<std::int64_t, 4> dimensions;
  std::array<std::int64_t, 4> strides;
  cudnnDataType_t type;
  /// Alignment in bytes of every address given for the tensor.
  std::int64_t alignment = 16;
  /// A tensor that is never in memory: it is passed from one operation to the next.
  bool is_virtual = false;
  /// A number that is read from host memory when the plan runs.
  bool by_value = false;
};

Descriptor make_tensor(const CudnnLibrary& library, const TensorSpec& spec);

/// Makes a float32 computation of `mode` that reads x (and `b` unless null) and writes y.
Descriptor make_pointwise(const CudnnLibrary& library, cudnnPointwiseMode_t mode, const Descriptor& x,
                          const Descriptor* b, const Descriptor& y, const char* what);

/// Sets the addresses for one run: `ids[i]` is at `addresses[i]`.
Descriptor make_variant_pack(const CudnnLibrary& library, std::span<const std::int64_t> ids,
                             std::span<const void* const> addresses, void* workspace);

}  // namespace dpm::cuda
