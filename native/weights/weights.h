// Named weights inside files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/input_file.h"
#include "graph/graph.h"
#include "weights/additions.h"
#include "weights/known_weights.h"

namespace dpm {

/// The place of a weight, checked when it is added.
struct WeightLocation {
  std::string name;
  std::size_t file = 0;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
  std::uint64_t offset = 0;
  /// Number of bytes from `offset` on that belong to the weight, with a view those that it picks from.
  std::uint64_t bytes = 0;
  /// Layout of the elements where it is not row-major: the row-major order of these dimensions, with strides in
  /// elements.
  std::vector<std::int64_t> view_dims = {};
  std::vector<std::int64_t> view_strides = {};
  /// Elements, in row-major order, of a constant that is neither in a file nor a parameter.
  std::vector<float> given = {};
  /// What is added to the elements.
  std::vector<AdditionLocation> additions = {};
};

class Weights {
 public:
  /// @param check_wanted Called before a weight is read; throws when the weight is no longer wanted.
  /// @param known What is known of weights that were loaded before from the same files.
  explicit Weights(
      std::function<void()> check_wanted = [] {},
      std::shared_ptr<KnownWeights> known = std::make_shared<KnownWeights>())
      : check_wanted_(std::move(check_wanted)), known_(std::move(known)) {}

  /// Opens a file. Throws Error(kFile).
  void add_file(const std::string& path);
  /// Adds a weight. Throws Error(kTensorShape) when shape, view, dtype and bytes or the given elements disagree or an
  /// addition does not fit, Error(kFileTruncated) when a file is shorter.
  void add(const WeightLocation& location);
  /// Returns the constant of a weight. Its `read` throws Error(kFileTruncated) when its file has become shorter,
  /// Error(kFile) when its bytes differ from the first reading. Throws Error(kTensorMissing).
  [[nodiscard]] const graph::Constant& get(const std::string& name) const;
  [[nodiscard]] std::uint64_t parameters() const { return parameters_; }

 private:
  void add_given(const WeightLocation& location);
  [[nodiscard]] std::vector<Addition> additions_to(const WeightLocation& location, std::uint64_t elements) const;
  void keep(graph::Constant constant);

  std::function<void()> check_wanted_;
  std::shared_ptr<KnownWeights> known_;
  std::vector<std::shared_ptr<const InputFile>> files_;
  std::map<std::string, graph::Constant> tensors_;
  std::uint64_t parameters_ = 0;
};

}  // namespace dpm
