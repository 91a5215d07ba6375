// Tensors and operations of a cuDNN graph, as descriptors ready for use.
#pragma once

#include <array>
#include <cstdint>

#include "cuda/dnn/descriptor.h"

namespace dpm::cuda {

/// A four-dimensional tensor; dimensions and strides are those of cuDNN (batch, channels, height, width for
/// images whatever their order in memory), strides in elements.
struct TensorSpec {
  const char* what;
  std::int64_t id;
  std::array<std::int64_t, 4> dimensions;
  std::array<std::int64_t, 4> strides;
  cudnnDataType_t type;
  /// Bytes that every address given for it is a multiple of.
  std::int64_t alignment = 16;
  /// Never in memory: only handed from one operation to the next.
  bool is_virtual = false;
  /// One number, read from host memory when the plan runs.
  bool by_value = false;
};

Descriptor make_tensor(const CudnnLibrary& library, const TensorSpec& spec);

/// A float32 computation of `mode` that reads x (and `b` unless null) and writes y.
Descriptor make_pointwise(const CudnnLibrary& library, cudnnPointwiseMode_t mode, const Descriptor& x,
                          const Descriptor* b, const Descriptor& y, const char* what);

/// Names the addresses for one run: `ids[i]` lies at `addresses[i]`.
Descriptor make_variant_pack(const CudnnLibrary& library, std::span<const std::int64_t> ids,
                             std::span<const void* const> addresses, void* workspace);

}  // namespace dpm::cuda
