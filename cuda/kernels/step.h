// The first and the last kernel of a trajectory's step. One captured step serves all: the differences between steps are
// in memory.
#pragma once

#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"
#include "cuda/kernels/update.h"

namespace dpm::cuda {

/// Progress of a trajectory.
struct StepProgress {
  std::uint32_t next;   ///< step that is selected next
  std::uint32_t now;    ///< step that was selected last
  std::uint32_t count;  ///< number of steps in the table
};

/// The table of a trajectory, in device memory, with `batch` samples per step.
struct StepTable {
  std::uint32_t batch;
  const UpdateSample* steps;  ///< array [count][batch]
  StepProgress* progress;
  UpdateSample* current;  ///< array [batch]
  float* time;            ///< array [batch], the records' times
};

/// Results that depend on time and label alone, computed for all steps before the first: sample n's vector of a step is
/// row condition_row of `rows`, which is copied to row n of `current`. Rows are whole words, one after the other.
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

/// Copies the next step's samples to `current`, their times to `time` and their conditions to the layers' places.
void select_step(const SelectStepArguments& arguments, cudaStream_t stream);

/// A network's prediction as its last layer has stored it: in the networks' type, or float32. Absent where both are
/// null.
template <typename T>
struct PredictionMap {
  Map<const T> stored;
  Map<const float> floats;
};

/// Arguments of the end of a step: its prediction, its update, and the image of the next step.
template <typename T>
struct FinishStepArguments {
  StepTable table;
  /// arguments of the update; `samples` are the table's current ones, and predictions in maps are also written to its
  /// rows `out` and `head`
  UpdateArguments update;
  PredictionMap<T> out;   ///< prediction; absent where the rows have it already
  PredictionMap<T> head;  ///< second output; absent where `out` has the head's channels after its own
  Map<T> image;           ///< image in the layout of load_image, whose padding is not written; may be absent
  int pixels;
  int channels;  ///< channels of a state
};

/// Runs update(), with the conversion of the prediction that it reads and of the image for the next step of the table,
/// if there is one. Counts the step.
template <typename T>
void finish_step(const FinishStepArguments<T>& arguments, cudaStream_t stream);

extern template void finish_step(const FinishStepArguments<float>&, cudaStream_t);
extern template void finish_step(const FinishStepArguments<Half>&, cudaStream_t);
extern template void finish_step(const FinishStepArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
