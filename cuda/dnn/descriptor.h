// Owner of one cuDNN backend descriptor, with failures as exceptions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "cuda/dnn/library.h"

namespace dpm::cuda {

/// Throws unless `status` is success: Error(kUnsupported) for the "not supported" group of codes, else
/// Error(kDevice). The text names the code, cuDNN's own explanation and `what` was being done.
void check_cudnn(const CudnnLibrary& library, cudnnStatus_t status, const std::string& what);

cudnnDataType_t cudnn_type(DType type);

class Descriptor {
 public:
  /// `what` names the object in messages, e.g. `input tensor`.
  Descriptor(const CudnnLibrary& library, cudnnBackendDescriptorType_t type, std::string what);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  /// `count` values of `type` at `values`.
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count, const void* values);
  void set(cudnnBackendAttributeName_t name, std::int64_t value);
  void set(cudnnBackendAttributeName_t name, std::span<const std::int64_t> values);
  void set(cudnnBackendAttributeName_t name, float value);
  void set(cudnnBackendAttributeName_t name, bool value);
  void set(cudnnBackendAttributeName_t name, cudnnDataType_t value);
  void set(cudnnBackendAttributeName_t name, cudnnHandle_t value);
  void set(cudnnBackendAttributeName_t name, const Descriptor& value);
  void set(cudnnBackendAttributeName_t name, std::span<const Descriptor> values);
  void set(cudnnBackendAttributeName_t name, std::span<const void* const> values);

  /// Checks and freezes the attributes.
  void finalize();
  /// As `finalize`, for searches where a refusal is no error.
  [[nodiscard]] bool try_finalize() noexcept;

  [[nodiscard]] std::int64_t get_int64(cudnnBackendAttributeName_t name) const;
  /// How many values an attribute has.
  [[nodiscard]] std::int64_t count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const;
  /// Fills up to `capacity` values and returns how many.
  std::int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t capacity,
                   void* values) const;
  /// The descriptors an attribute holds, at most `limit` of them, each of `type`. Some attributes do not say how
  /// many they hold before they are read, so `limit` descriptors are made.
  [[nodiscard]] std::vector<Descriptor> get_descriptors(cudnnBackendAttributeName_t name,
                                                        cudnnBackendDescriptorType_t type, std::int64_t limit) const;

  [[nodiscard]] cudnnBackendDescriptor_t get() const { return value_; }

 private:
  const CudnnLibrary* library_;
  std::string what_;
  cudnnBackendDescriptor_t value_ = nullptr;
};

}  // namespace dpm::cuda
