// Names and operands of all operations: one row each, for checks and messages.
#pragma once

#include <cstdint>
#include <string_view>

#include "graph/node.h"

namespace dpm::graph {

/// The minimum and maximum number of a node's operands of one sort.
struct Count {
  std::size_t least = 0;
  std::size_t most = 0;
};

struct Operation {
  dpm_op op;
  const char* name;
  std::size_t inputs;  ///< number of required inputs; the others are optional
  std::size_t most_inputs;
  Count outputs;
  Count weights;
  Count biases;
  Attributes attributes;  ///< default attributes of a new node
};

/// Returns whether results of `op` are sums over the rows of a batch, one for all.
constexpr bool sums_rows(dpm_op op) {
  return op == DPM_OP_CONVOLUTION_WEIGHTS || op == DPM_OP_ROW_SUM || op == DPM_OP_EMBEDDING_WEIGHTS;
}

/// Returns whether only gradients of weights need `op`.
constexpr bool is_of_gradients(dpm_op op) { return op >= DPM_OP_CONVOLUTION_WEIGHTS && op <= DPM_OP_SQUARE_SCORE; }

/// The row of `op`. Throws Error(kArgument) for a number that is no operation.
const Operation& operation_of(dpm_op op);

/// The row of the operation called `name`, null where there is none.
const Operation* find_operation(std::string_view name);

}  // namespace dpm::graph
