// Group norms that are applied by their reader.
#pragma once

#include <vector>

#include "backend/backend.h"

namespace dpm::cpu {

/// A group norm whose only reader, a convolution, runs before anything could overwrite the norm's input. The reader
/// applies the norm while it lays out its operands, so that the normalised map never exists.
struct DeferredNorm {
  int input;         ///< value that the norm reads
  int output;        ///< value that is the norm's result in the graph
  int reader;        ///< node that reads the result
  bool silu;         ///< SiLU follows the norm
  bool input_lives;  ///< tells whether the input is read again after the reader; if not, it must lie at the place
                     ///< planned for the output
};

/// Finds all such norms, assuming that every convolution can apply them.
std::vector<DeferredNorm> find_deferrable_norms(const dpm_graph& graph);

}  // namespace dpm::cpu
