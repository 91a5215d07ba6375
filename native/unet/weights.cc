#include "unet/weights.h"

#include "core/error.h"

namespace dpm::unet {

void Weights::add_file(const std::string& path) { files_.push_back(std::make_unique<MappedFile>(path)); }

void Weights::add(const WeightLocation& location) {
  require(location.file < files_.size(), "a weight names a file that was not given");
  require(location.shape.size() <= 4, "a weight has more than four dimensions");
  std::uint64_t elements = 1;
  for (const std::int64_t dim : location.shape) {
    if (dim < 0 || __builtin_mul_overflow(elements, static_cast<std::uint64_t>(dim), &elements)) {
      throw Error(ErrorCode::kTensorShape, "tensor " + location.name + " has an impossible shape");
    }
  }
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(elements, dtype_size(location.dtype), &bytes) || bytes != location.bytes) {
    throw Error(ErrorCode::kTensorShape, "tensor " + location.name + " has a size other than its shape implies");
  }
  const MappedFile& file = *files_[location.file];
  if (location.offset > file.size() || location.bytes > file.size() - location.offset) {
    throw Error(ErrorCode::kFileTruncated, file.path() + " ends before tensor " + location.name);
  }
  graph::Constant constant{file.data() + location.offset, location.dtype, location.shape, location.name};
  if (!tensors_.emplace(location.name, std::move(constant)).second) {
    throw Error(ErrorCode::kArgument, "tensor " + location.name + " is given twice");
  }
  parameters_ += elements;
}

const graph::Constant& Weights::get(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw Error(ErrorCode::kTensorMissing, "tensor " + name + " is missing");
  return found->second;
}

}  // namespace dpm::unet
