#include "weights/additions.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/error.h"

namespace dpm {
namespace {

[[noreturn]] void misshapen(const std::string& name, const std::string& problem) {
  throw Error(ErrorCode::kTensorShape, "tensor " + name + problem);
}

/// Number of elements of the dimensions from `first` on.
std::uint64_t product(const FactorLocation& location, std::size_t first) {
  std::uint64_t elements = 1;
  for (std::size_t i = first; i < location.shape.size(); ++i) {
    if (location.shape[i] <= 0 ||
        __builtin_mul_overflow(elements, static_cast<std::uint64_t>(location.shape[i]), &elements)) {
      misshapen(location.name, " has an impossible shape");
    }
  }
  return elements;
}

/// Tells whether a shape is that of a kernel from so many channels to so many.
bool is_between(const std::vector<std::int64_t>& shape, std::size_t outputs, std::size_t inputs) {
  return shape.size() == 4 && std::cmp_equal(shape[0], outputs) && std::cmp_equal(shape[1], inputs);
}

FactorPlace place_of(const FactorLocation& location, const InputFile& file) {
  return {file.path(), file.version(), location.offset, location.dtype, location.shape};
}

/// sum += the rows of `down`, each times its coefficient; four at once, as the sum would be loaded and stored for each.
void add_rows(std::span<const float> coefficients, const float* down, std::span<float> sum) {
  const std::size_t columns = sum.size();
  std::size_t s = 0;
  for (; s + 4 <= coefficients.size(); s += 4) {
    const float* rows = down + s * columns;
    const float a = coefficients[s];
    const float b = coefficients[s + 1];
    const float c = coefficients[s + 2];
    const float d = coefficients[s + 3];
    for (std::size_t j = 0; j < columns; ++j) {
      sum[j] =
          (((sum[j] + a * rows[j]) + b * rows[columns + j]) + c * rows[2 * columns + j]) + d * rows[3 * columns + j];
    }
  }
  for (; s < coefficients.size(); ++s) {
    const float* row = down + s * columns;
    for (std::size_t j = 0; j < columns; ++j) sum[j] += coefficients[s] * row[j];
  }
}

/// sum [inputs, taps] += coefficients [inner rank, taps] times down [inner rank, inputs].
void add_kernels(std::span<const float> coefficients, const float* down, std::size_t taps, std::span<float> sum) {
  const std::size_t inputs = sum.size() / taps;
  for (std::size_t s = 0; s < coefficients.size() / taps; ++s) {
    const float* kernel = coefficients.data() + s * taps;
    for (std::size_t i = 0; i < inputs; ++i) {
      const float value = down[s * inputs + i];
      for (std::size_t k = 0; k < taps; ++k) sum[i * taps + k] += kernel[k] * value;
    }
  }
}

}  // namespace

Addition::Factor Addition::opened(const FactorLocation& location,
                                  std::span<const std::shared_ptr<const InputFile>> files) {
  require(location.file < files.size(), "an addition names a file that was not given");
  if (location.shape.size() != 2 && location.shape.size() != 4) {
    misshapen(location.name, " is neither a matrix nor a kernel");
  }
  const std::uint64_t elements = product(location, 0);
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(elements, std::uint64_t{dtype_size(location.dtype)}, &bytes) || bytes != location.bytes) {
    misshapen(location.name, " has a size other than its shape implies");
  }
  const std::shared_ptr<const InputFile>& file = files[location.file];
  if (location.offset > file->size() || bytes > file->size() - location.offset) {
    throw Error(ErrorCode::kFileTruncated, file->path() + " ends before tensor " + location.name);
  }
  return {location, file, elements};
}

Addition::Addition(const AdditionLocation& location, std::span<const std::shared_ptr<const InputFile>> files,
                   const AddedWeight& weight)
    : factor_(location.factor), up_(opened(location.up, files)), down_(opened(location.down, files)) {
  if (location.mid) mid_ = opened(*location.mid, files);
  outputs_ = static_cast<std::size_t>(location.up.shape[0]);
  rank_ = product(location.up, 1);
  inner_rank_ = static_cast<std::size_t>(location.down.shape[0]);
  taps_ = mid_ ? product(mid_->location, 2) : 1;
  const bool is_product = mid_ ? is_between(mid_->location.shape, rank_, inner_rank_) : rank_ == inner_rank_;
  if (!is_product) misshapen(location.up.name, " and tensor " + location.down.name + " have no product");
  std::uint64_t columns = 0;
  const bool overflows = __builtin_mul_overflow(product(location.down, 1), std::uint64_t{taps_}, &columns);
  if (overflows || std::cmp_not_equal(outputs_, weight.outputs) || std::cmp_not_equal(columns, weight.columns)) {
    misshapen(location.up.name, " times tensor " + location.down.name + " has not the shape of " + weight.name);
  }
  columns_ = columns;
}

std::vector<float> Addition::read(const Factor& factor, KnownWeights& known) {
  const FactorLocation& location = factor.location;
  std::vector<unsigned char> bytes(location.bytes);
  factor.file->read(location.offset, bytes.data(), bytes.size());
  known.note(location.name, {factor.file->path(), location.offset, bytes.data(), bytes.size()});
  std::vector<float> elements(factor.elements);
  load_as_floats(bytes.data(), location.dtype, 0, elements.size(), elements.data());
  return elements;
}

void Addition::add_to(float* weight, KnownWeights& known) const {
  const std::vector<float> up = read(up_, known);
  const std::vector<float> mid = mid_ ? read(*mid_, known) : std::vector<float>();
  const std::vector<float> down = read(down_, known);
  std::vector<float> coefficients(mid_ ? inner_rank_ * taps_ : 0);
  std::vector<float> sum(columns_);
  for (std::size_t o = 0; o < outputs_; ++o) {
    const std::span<const float> row(up.data() + o * rank_, rank_);
    std::fill(sum.begin(), sum.end(), 0.0F);
    if (mid_) {
      std::fill(coefficients.begin(), coefficients.end(), 0.0F);
      add_rows(row, mid.data(), coefficients);
      add_kernels(coefficients, down.data(), taps_, sum);
    } else {
      add_rows(row, down.data(), sum);
    }
    float* to = weight + o * columns_;
    for (std::size_t j = 0; j < columns_; ++j) to[j] += factor_ * sum[j];
  }
}

AdditionPlace Addition::place() const {
  AdditionPlace place{std::bit_cast<std::uint32_t>(factor_), {place_of(up_.location, *up_.file)}};
  if (mid_) place.factors.push_back(place_of(mid_->location, *mid_->file));
  place.factors.push_back(place_of(down_.location, *down_.file));
  return place;
}

}  // namespace dpm
