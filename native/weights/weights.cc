#include "weights/weights.h"

#include <algorithm>
#include <tuple>

#include "core/error.h"
#include "core/strided.h"

namespace dpm {
namespace {

[[noreturn]] void misshapen(const WeightLocation& location, const char* problem) {
  throw Error(ErrorCode::kTensorShape, "tensor " + location.name + problem);
}

std::uint64_t product(const WeightLocation& location, const std::vector<std::int64_t>& dims) {
  std::uint64_t elements = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(elements, static_cast<std::uint64_t>(dim), &elements)) {
      misshapen(location, " has an impossible shape");
    }
  }
  return elements;
}

/// Number of elements from the first to the last that the tensor reads.
std::uint64_t extent(const WeightLocation& location, std::uint64_t elements) {
  const auto& [dims, strides] = std::tie(location.view_dims, location.view_strides);
  if (dims.empty()) return elements;
  if (dims.size() > 4 || strides.size() != dims.size() || product(location, dims) != elements) {
    misshapen(location, " has a view that does not fit its shape");
  }
  if (elements == 0) return 0;
  std::uint64_t last = 0;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    std::uint64_t reach = 0;
    if (strides[i] < 0 ||
        __builtin_mul_overflow(static_cast<std::uint64_t>(dims[i] - 1), static_cast<std::uint64_t>(strides[i]),
                               &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      misshapen(location, " has impossible strides");
    }
  }
  if (__builtin_add_overflow(last, std::uint64_t{1}, &last)) misshapen(location, " has impossible strides");
  return last;
}

/// Makes a constant the float32 sum of what it was and of additions, row-major.
void add_products(std::vector<Addition> additions, std::uint64_t elements, std::shared_ptr<KnownWeights> known,
                  graph::Constant& constant) {
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(elements, std::uint64_t{sizeof(float)}, &bytes)) {
    throw Error(ErrorCode::kTensorShape, "tensor " + constant.name + " has an impossible shape");
  }
  constant.read = [base = constant, added = std::move(additions), known = std::move(known), elements](void* to) {
    auto* sum = static_cast<float*>(to);
    {
      // It is no longer needed when factors are read.
      const auto stored = std::make_unique_for_overwrite<unsigned char[]>(base.bytes);
      base.read(stored.get());
      load_strided(stored.get(), base.dtype, base.view_dims, base.view_strides, elements, sum);
    }
    for (const Addition& addition : added) addition.add_to(sum, *known);
  };
  constant.dtype = DType::kFloat32;
  constant.view_dims.clear();
  constant.view_strides.clear();
  constant.bytes = bytes;
}

}  // namespace

void Weights::add_file(const std::string& path) { files_.push_back(std::make_shared<InputFile>(path)); }

void Weights::keep(graph::Constant constant) {
  std::string name = constant.name;
  if (!tensors_.emplace(name, std::move(constant)).second) {
    throw Error(ErrorCode::kArgument, "tensor " + name + " is given twice");
  }
}

void Weights::add_given(const WeightLocation& location) {
  require(location.additions.empty(), "an addition is to a constant that is in no file");
  if (product(location, location.shape) != location.given.size()) {
    misshapen(location, " has a size other than its shape implies");
  }
  graph::Constant constant{nullptr, DType::kFloat32, location.shape, location.name};
  constant.bytes = location.given.size() * sizeof(float);
  constant.read = [values = std::make_shared<const std::vector<float>>(location.given)](void* to) {
    std::copy(values->begin(), values->end(), static_cast<float*>(to));
  };
  keep(std::move(constant));
}

std::vector<Addition> Weights::additions_to(const WeightLocation& location, std::uint64_t elements) const {
  std::vector<Addition> additions;
  if (location.additions.empty()) return additions;
  require(location.shape.size() >= 2 && elements > 0, "an addition is to a weight that is no matrix");
  const std::int64_t outputs = location.shape.front();
  const auto columns = static_cast<std::int64_t>(elements / static_cast<std::uint64_t>(outputs));
  for (const AdditionLocation& addition : location.additions) {
    additions.emplace_back(addition, files_, AddedWeight{location.name, outputs, columns});
  }
  return additions;
}

void Weights::add(const WeightLocation& location) {
  if (!location.given.empty()) {
    add_given(location);
    return;
  }
  require(location.file < files_.size(), "a weight names a file that was not given");
  require(location.shape.size() <= 4, "a weight has more than four dimensions");
  const std::uint64_t elements = product(location, location.shape);
  std::uint64_t bytes = 0;
  const bool overflows =
      __builtin_mul_overflow(extent(location, elements), std::uint64_t{dtype_size(location.dtype)}, &bytes);
  if (overflows || (location.view_dims.empty() ? bytes != location.bytes : bytes > location.bytes)) {
    misshapen(location, " has a size other than its shape implies");
  }
  const InputFile& file = *files_[location.file];
  if (location.offset > file.size() || location.bytes > file.size() - location.offset) {
    throw Error(ErrorCode::kFileTruncated, file.path() + " ends before tensor " + location.name);
  }
  graph::Constant constant{nullptr,       location.dtype,     location.shape,
                           location.name, location.view_dims, location.view_strides};
  constant.bytes = bytes;
  WeightPlace identified{file.path(),    file.version(),     location.offset,      location.dtype,
                         location.shape, location.view_dims, location.view_strides};
  std::vector<Addition> additions = additions_to(location, elements);
  for (const Addition& addition : additions) identified.additions.push_back(addition.place());
  constant.identity = known_->identity(identified);
  constant.read = [file = files_[location.file], wanted = check_wanted_, known = known_, name = location.name,
                   place = location.offset, bytes](void* to) {
    wanted();
    file->read(place, to, bytes);
    known->note(name, {file->path(), place, to, bytes});
  };
  if (!additions.empty()) add_products(std::move(additions), elements, known_, constant);
  keep(std::move(constant));
  parameters_ += elements;
}

const graph::Constant& Weights::get(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw Error(ErrorCode::kTensorMissing, "tensor " + name + " is missing");
  return found->second;
}

}  // namespace dpm
