// Group norms that their reader applies.
#pragma once

#include <vector>

#include "backend/backend.h"

namespace dpm::cpu {

/// A group norm whose only reader, a convolution, runs before anything could overwrite the norm's input: it applies the
/// norm while it lays its operands out, so that the normalised map never exists.
struct DeferredNorm {
  int input;         ///< value that is normalised
  int output;        ///< value that the graph says is the result
  int reader;        ///< node that reads it
  bool silu;         ///< what follows the norm
  bool input_lives;  ///< whether the input is read again after the reader; else it has to be where the output would be
};

/// All of them, if every convolution could read so.
std::vector<DeferredNorm> find_deferrable_norms(const dpm_graph& graph);

}  // namespace dpm::cpu
