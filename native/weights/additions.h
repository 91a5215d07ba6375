// Additions of low rank to weights (LoRA), whose factors lie in files.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/input_file.h"
#include "weights/known_weights.h"

namespace dpm {

/// The place of a factor: a matrix, or the kernel of a convolution.
struct FactorLocation {
  std::string name;
  std::size_t file = 0;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// The place of an addition: `factor` times the product of `up` [outputs, rank], `mid` [rank, inner rank, height,
/// width], if there is one, and `down` [inner rank, inputs, ...].
struct AdditionLocation {
  float factor = 1;
  FactorLocation up;
  std::optional<FactorLocation> mid = {};
  FactorLocation down;
};

/// A weight that is added to.
struct AddedWeight {
  const std::string& name;
  std::int64_t outputs = 0;
  /// Number of elements for each output.
  std::int64_t columns = 0;
};

/// An addition whose factors multiply to the shape of a weight and lie inside of their files.
class Addition {
 public:
  /// Throws Error(kTensorShape) where shapes, dtypes and bytes disagree or the product is not of the weight's shape,
  /// Error(kFileTruncated) where a file is shorter, and Error(kArgument) for a file that there is not.
  Addition(const AdditionLocation& location, std::span<const std::shared_ptr<const InputFile>> files,
           const AddedWeight& weight);

  /// Adds the product to a weight's elements, row-major, in float32. What is summed first is one rank after the other.
  /// Throws the errors of reading files, and Error(kFile) where a factor is no more what `known` has seen.
  void add_to(float* weight, KnownWeights& known) const;
  /// The place of the factors, which tells a weight with this addition from every other.
  [[nodiscard]] AdditionPlace place() const;

 private:
  struct Factor {
    FactorLocation location;
    std::shared_ptr<const InputFile> file;
    std::size_t elements = 0;
  };

  static Factor opened(const FactorLocation& location, std::span<const std::shared_ptr<const InputFile>> files);
  static std::vector<float> read(const Factor& factor, KnownWeights& known);

  float factor_;
  Factor up_;
  std::optional<Factor> mid_;
  Factor down_;
  std::size_t outputs_;
  std::size_t columns_;
  std::size_t rank_;
  std::size_t inner_rank_;
  /// Number of the elements of mid's kernel, 1 without mid.
  std::size_t taps_;
};

}  // namespace dpm
