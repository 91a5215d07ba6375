// The first and the last kernel of a trajectory's step. One captured step serves all: what differs between them lies in
// memory.
#pragma once

#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"
#include "cuda/kernels/update.h"

namespace dpm::cuda {

/// How far a trajectory has come.
struct StepProgress {
  std::uint32_t next;   ///< the step that is selected next
  std::uint32_t now;    ///< the one that was selected last
  std::uint32_t count;  ///< of the steps in the table
};

/// The table of a trajectory, in device memory: `batch` samples a step.
struct StepTable {
  std::uint32_t batch;
  const UpdateSample* steps;  ///< [count][batch]
  StepProgress* progress;
  UpdateSample* current;  ///< [batch]
  float* time;            ///< [batch], the records' times
};

/// What depends on time and label alone, computed for all steps before the first: sample n's vector of a step is row
/// condition_row of `rows`, and is brought to row n of `current`. Rows are whole words, one after the other.
struct StepCondition {
  const std::uint32_t* rows;
  std::uint32_t* current;
  std::uint32_t words;
};

constexpr int kMostConditions = 8;

struct SelectStepArguments {
  StepTable table;
  int conditions;
  StepCondition condition[kMostConditions];
};

/// Copies the next step's samples to `current`, their times to `time` and their conditions to theirs.
void select_step(const SelectStepArguments& arguments, cudaStream_t stream);

/// A network's prediction as its last layer has left it: of the networks' type, or float32. Absent where neither is
/// there.
template <typename T>
struct PredictionMap {
  Map<const T> stored;
  Map<const float> floats;
};

/// What a network has predicted for a step, its update, and the image of the step after it.
template <typename T>
struct FinishStepArguments {
  StepTable table;
  /// `samples` are the table's current ones. Predictions in maps are written to its rows `out` and `head`, too.
  UpdateArguments update;
  PredictionMap<T> out;   ///< absent where the rows have the prediction already
  PredictionMap<T> head;  ///< absent where `out` has the head's channels after its own
  Map<T> image;  ///< with the layout that load_image gives it, the padding of which stays as it is; may be absent
  int pixels;
  int channels;  ///< of a state
};

/// update(), with the conversion of what it reads and of the image that the next step of the table, if there is one,
/// gives the network. Counts the step.
template <typename T>
void finish_step(const FinishStepArguments<T>& arguments, cudaStream_t stream);

extern template void finish_step(const FinishStepArguments<float>&, cudaStream_t);
extern template void finish_step(const FinishStepArguments<Half>&, cudaStream_t);
extern template void finish_step(const FinishStepArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
