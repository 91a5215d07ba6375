// The texts of a training run: what a network takes of them, and their maps on the device.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/network.h"
#include "training/dataset.h"
#include "training/options.h"

namespace dpm::training {

/// The texts that a network sees as its context [vocabulary, tokens, 1].
struct TextShape {
  std::uint64_t vocabulary = 0;  ///< number of ids
  std::uint64_t tokens = 0;      ///< tokens of a text; 0: it sees none

  [[nodiscard]] bool has_texts() const { return tokens > 0; }
  [[nodiscard]] std::uint64_t elements() const { return vocabulary * tokens; }
};

/// Returns the shape of the texts of a graph. Throws Error(kUnsupported) where rows share its context, or where this is
/// no line of tokens.
TextShape text_shape_of(const graph::Graph& graph);

/// Throws Error(kArgument) where the text that stands for none does not suit a network.
void check_null_tokens(const TrainerOptions& options, const TextShape& shape);
/// Throws Error(kArgument) where the texts of a data set do not suit a network.
void check_texts(const Dataset& dataset, const TextShape& shape);
/// Throws Error(kArgument) unless `tokens` are `count` texts for a network, none where it sees none.
void check_given_texts(const std::vector<std::int32_t>& tokens, std::uint64_t count, const TextShape& shape);

/// Maps of texts, one of `shape` a row: element (id, token) is 1 where the token of the text has that id, and else 0.
class TextMaps {
 public:
  TextMaps(Device& device, std::uint64_t rows, const TextShape& shape);

  /// Replaces the maps by those of texts [rows, tokens].
  void upload(const std::vector<std::int32_t>& tokens);
  [[nodiscard]] dpm_view view() const { return buffer_->view(shape_.elements()); }

 private:
  /// Sets what the texts of `tokens_` have in the maps.
  void set(float value);

  TextShape shape_;
  std::shared_ptr<Buffer> buffer_;
  std::vector<float> maps_;           ///< zeros, but for those of `tokens_`
  std::vector<std::int32_t> tokens_;  ///< texts whose maps these are
};

}  // namespace dpm::training
