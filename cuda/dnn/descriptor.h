// An owned cuDNN backend descriptor, with failures as exceptions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "cuda/dnn/library.h"

namespace dpm::cuda {

/// Throws unless `status` is success: Error(kUnsupported) for the "not supported" group of codes, else Error(kDevice).
/// The text has the code, cuDNN's own explanation and `what`, the action that failed.
void check_cudnn(const CudnnLibrary& library, cudnnStatus_t status, const std::string& what);

cudnnDataType_t cudnn_type(DType type);

class Descriptor {
 public:
  /// Creates a descriptor; `what` names it in messages, e.g. `input tensor`.
  Descriptor(const CudnnLibrary& library, cudnnBackendDescriptorType_t type, std::string what);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  /// Sets an attribute to `count` values of `type` at `values`.
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
  /// Finalizes for searches where a refusal is no error; returns whether it succeeded.
  [[nodiscard]] bool try_finalize() noexcept;

  [[nodiscard]] std::int64_t get_int64(cudnnBackendAttributeName_t name) const;
  /// Returns the number of values of an attribute.
  [[nodiscard]] std::int64_t count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const;
  /// Reads up to `capacity` values and returns their number.
  std::int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t capacity,
                   void* values) const;
  /// Returns the descriptors in an attribute, at most `limit`, each of `type`. Some attributes do not report their
  /// number before they are read, so `limit` descriptors are made.
  [[nodiscard]] std::vector<Descriptor> get_descriptors(cudnnBackendAttributeName_t name,
                                                        cudnnBackendDescriptorType_t type, std::int64_t limit) const;

  [[nodiscard]] cudnnBackendDescriptor_t get() const { return value_; }

 private:
  const CudnnLibrary* library_;
  std::string what_;
  cudnnBackendDescriptor_t value_ = nullptr;
};

}  // namespace dpm::cuda
