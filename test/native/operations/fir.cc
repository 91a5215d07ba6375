// Cases of resampling by [1, 3, 3, 1] / 4, in both directions.
#include "operations/operations.h"

namespace dpm::test {
namespace {

int resample(GraphMaker& maker, dpm_op op, int input, int padding) {
  if (op == DPM_OP_FIR_DOWNSAMPLE) return maker.add(op, {input}, graph::FirDownsample{padding});
  return maker.add(op, {input}, graph::FirUpsample{1 - padding});
}

/// Makes the image and twice its channels, resampled: maps that become channel ranges of wider ones where the passes
/// run.
Case fir(RandomValues& random, dpm_op op, int channels, int height, int width, int padding, int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  const int wide = maker.add(DPM_OP_CONCAT, {x, maker.enter(x)});
  const int first = resample(maker, op, x, padding);
  maker.leave(maker.add(DPM_OP_CONCAT, {first, resample(maker, op, wide, padding)}));
  return image_case(maker, random, batch);
}

Case random_fir(RandomValues& random, int index) {
  const int channels = random.between(1, index % 4 == 0 ? 70 : 20);
  const bool is_up = index % 2 == 0;
  const int padding = index % 3 == 0 ? 0 : 1;
  const int least = is_up ? 1 : 2 - padding;
  const int unit = is_up ? 1 : 2;
  const int height = unit * random.between(least, 6);
  const int width = unit * random.between(least, 6);
  return fir(random, is_up ? DPM_OP_FIR_UPSAMPLE : DPM_OP_FIR_DOWNSAMPLE, channels, height, width, padding,
             random.between(1, 3));
}

/// Makes maps with channels in whole vectors.
Case fir_of_vectors(RandomValues& random, int index) {
  return fir(random, index % 2 == 0 ? DPM_OP_FIR_UPSAMPLE : DPM_OP_FIR_DOWNSAMPLE, 16, 6, 10, index / 2, 2);
}

Case large_fir(RandomValues& random, int index) {
  return fir(random, index == 0 ? DPM_OP_FIR_UPSAMPLE : DPM_OP_FIR_DOWNSAMPLE, 64, 32, 32, 1, 4);
}

}  // namespace

std::vector<CaseFamily> fir_cases() {
  return {{"Random", random_fir, 24}, {"OfVectors", fir_of_vectors, 4}, {"64x32x32", large_fir, 2, true}};
}

}  // namespace dpm::test
