// The samples of one evaluation of a training run, on the host.
#pragma once

#include <cstdint>
#include <vector>

#include "training/dataset.h"
#include "training/level_sampler.h"
#include "training/options.h"
#include "training/texts.h"

namespace dpm::training {

/// What a network takes of a sample.
struct SampleShape {
  std::uint64_t elements = 0;  ///< numbers of an image
  int classes = 0;             ///< number of classes of the labels; 0: there are none
  TextShape texts;
};

/// Samples that the caller has drawn: for each step, slot after slot, as many as a step has. They take the place of the
/// data set and of all draws, dropping of labels and of texts included.
struct GivenSamples {
  std::vector<float> images;              ///< [steps * samples, C, H, W]
  std::vector<std::uint32_t> levels;      ///< noise levels, from 1 on
  std::vector<float> noise;               ///< of the images' shape
  std::vector<std::int32_t> labels;       ///< empty: none
  std::vector<float> probes = {};         ///< signs of the images' shape, for Loss::kCurvature; empty: they are drawn
  std::vector<std::int32_t> tokens = {};  ///< ids of the samples' texts, [samples, tokens]; empty: none
};

/// Samples of an evaluation.
struct Samples {
  std::vector<float> images;
  std::vector<std::uint32_t> levels;
  std::vector<double> weights;       ///< factors of losses, by how often levels are drawn
  std::vector<std::int32_t> labels;  ///< empty: none
  std::vector<std::int32_t> tokens;  ///< ids of their texts, [samples, tokens]; empty: none
  std::vector<float> noise;          ///< empty: drawn from the slots' streams
  std::vector<float> probes;         ///< empty: drawn from the slots' streams
};

/// Draws the samples of slots from `first` on, of step `step`, into `samples`. Step k takes the positions from
/// k * samples() on in the order of the epochs, one epoch after the other.
void draw_samples(const TrainerOptions& options, const Dataset& dataset, const LevelSampler& sampler,
                  std::uint32_t step, std::uint32_t first, Samples& samples);

/// Copies given samples from number `first` on into `samples`; their losses weigh all alike.
void copy_samples(const TrainerOptions& options, const GivenSamples& given, const SampleShape& shape,
                  std::uint64_t first, Samples& samples);

/// Throws Error(kArgument) where a data set does not suit a network.
void check_dataset(const TrainerOptions& options, const Dataset& dataset, const SampleShape& shape);

/// Throws Error(kArgument) where given samples are not those of `steps` steps, or are out of range.
void check_given(const TrainerOptions& options, const GivenSamples& given, const SampleShape& shape,
                 std::uint64_t steps);

}  // namespace dpm::training
