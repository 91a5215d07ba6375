#include "cuda/dnn/descriptor.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"

namespace dpm::cuda {
namespace {

/// Returns whether a status is one of the codes 3000 to 3999.
bool means_unsupported(cudnnStatus_t status) {
  return CUDNN_STATUS_CATEGORY(static_cast<int>(status)) == CUDNN_STATUS_NOT_SUPPORTED;
}

}  // namespace

void check_cudnn(const CudnnLibrary& library, cudnnStatus_t status, const std::string& what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 512> detail{};
  library.get_last_error_string(detail.data(), detail.size() - 1);
  std::string text = "cuDNN: " + what + ": " + library.get_error_string(status);
  if (detail[0] != '\0') text += " (" + std::string(detail.data()) + ")";
  throw Error(means_unsupported(status) ? ErrorCode::kUnsupported : ErrorCode::kDevice, text);
}

cudnnDataType_t cudnn_type(DType type) {
  switch (type) {
    case DType::kFloat16:
      return CUDNN_DATA_HALF;
    case DType::kBFloat16:
      return CUDNN_DATA_BFLOAT16;
    case DType::kFloat32:
      break;
  }
  return CUDNN_DATA_FLOAT;
}

Descriptor::Descriptor(const CudnnLibrary& library, cudnnBackendDescriptorType_t type, std::string what)
    : library_(&library), what_(std::move(what)) {
  check_cudnn(library, library.create_descriptor(type, &value_), "creating the " + what_);
}

Descriptor::~Descriptor() {
  if (value_ != nullptr) library_->destroy_descriptor(value_);
}

Descriptor::Descriptor(Descriptor&& other) noexcept
    : library_(other.library_), what_(std::move(other.what_)), value_(std::exchange(other.value_, nullptr)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(library_, other.library_);
  std::swap(what_, other.what_);
  std::swap(value_, other.value_);
  return *this;
}

void Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                     const void* values) {
  const cudnnStatus_t status = library_->set_attribute(value_, name, type, count, values);
  if (status != CUDNN_STATUS_SUCCESS) {
    check_cudnn(*library_, status, "setting attribute " + std::to_string(name) + " of the " + what_);
  }
}

void Descriptor::set(cudnnBackendAttributeName_t name, std::int64_t value) { set(name, CUDNN_TYPE_INT64, 1, &value); }

void Descriptor::set(cudnnBackendAttributeName_t name, std::span<const std::int64_t> values) {
  set(name, CUDNN_TYPE_INT64, static_cast<std::int64_t>(values.size()), values.data());
}

void Descriptor::set(cudnnBackendAttributeName_t name, float value) { set(name, CUDNN_TYPE_FLOAT, 1, &value); }

void Descriptor::set(cudnnBackendAttributeName_t name, bool value) { set(name, CUDNN_TYPE_BOOLEAN, 1, &value); }

void Descriptor::set(cudnnBackendAttributeName_t name, cudnnDataType_t value) {
  set(name, CUDNN_TYPE_DATA_TYPE, 1, &value);
}

void Descriptor::set(cudnnBackendAttributeName_t name, cudnnHandle_t value) {
  set(name, CUDNN_TYPE_HANDLE, 1, static_cast<const void*>(&value));
}

void Descriptor::set(cudnnBackendAttributeName_t name, const Descriptor& value) { set(name, std::span(&value, 1)); }

void Descriptor::set(cudnnBackendAttributeName_t name, std::span<const Descriptor> values) {
  std::vector<cudnnBackendDescriptor_t> raw;
  raw.reserve(values.size());
  for (const Descriptor& value : values) raw.push_back(value.get());
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(raw.size()), static_cast<const void*>(raw.data()));
}

void Descriptor::set(cudnnBackendAttributeName_t name, std::span<const void* const> values) {
  set(name, CUDNN_TYPE_VOID_PTR, static_cast<std::int64_t>(values.size()), static_cast<const void*>(values.data()));
}

void Descriptor::finalize() {
  const cudnnStatus_t status = library_->finalize(value_);
  if (status != CUDNN_STATUS_SUCCESS) check_cudnn(*library_, status, "finishing the " + what_);
}

bool Descriptor::try_finalize() noexcept { return library_->finalize(value_) == CUDNN_STATUS_SUCCESS; }

std::int64_t Descriptor::get_int64(cudnnBackendAttributeName_t name) const {
  std::int64_t value = 0;
  get(name, CUDNN_TYPE_INT64, 1, &value);
  return value;
}

std::int64_t Descriptor::count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
  return get(name, type, 0, nullptr);
}

std::int64_t Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t capacity,
                             void* values) const {
  std::int64_t count = 0;
  const cudnnStatus_t status = library_->get_attribute(value_, name, type, capacity, &count, values);
  if (status != CUDNN_STATUS_SUCCESS) {
    check_cudnn(*library_, status, "reading attribute " + std::to_string(name) + " of the " + what_);
  }
  return capacity == 0 ? count : std::min(count, capacity);
}

std::vector<Descriptor> Descriptor::get_descriptors(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type,
                                                    std::int64_t limit) const {
  std::vector<Descriptor> found;
  std::vector<cudnnBackendDescriptor_t> raw;
  found.reserve(static_cast<std::size_t>(limit));
  raw.reserve(static_cast<std::size_t>(limit));
  for (std::int64_t i = 0; i < limit; ++i) {
    raw.push_back(found.emplace_back(*library_, type, "part of the " + what_).get());
  }
  const std::int64_t got = get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, limit, static_cast<void*>(raw.data()));
  while (static_cast<std::int64_t>(found.size()) > got) found.pop_back();
  return found;
}

}  // namespace dpm::cuda
