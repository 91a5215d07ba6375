// Cases of resampling by nearest neighbours, means of 2 x 2, and inserted zeros.
#include <utility>

#include "operations/operations.h"

namespace dpm::test {
namespace {

constexpr dpm_op kWays[] = {DPM_OP_UPSAMPLE, DPM_OP_AVERAGE_POOL, DPM_OP_ZERO_UPSAMPLE};

Case resample(RandomValues& random, dpm_op op, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  maker.leave(maker.add(op, {maker.enter(maker.image(channels, height, width))}));
  Case made = image_case(maker, random, batch);
  return op == DPM_OP_ZERO_UPSAMPLE ? without_derivatives(std::move(made), op) : made;
}

/// An upsampling to any size, smaller ones too; every fourth case states twice the map's.
Case random_resize(RandomValues& random, int index) {
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  const bool doubles = index % 4 == 3;
  const graph::Upsample to{doubles ? 2 * height : random.between(1, 20), doubles ? 2 * width : random.between(1, 20)};
  constexpr const char* kReason = "this form of the operation has no derivative";
  GraphMaker maker(random);
  maker.leave(maker.add(DPM_OP_UPSAMPLE, {maker.enter(maker.image(random.between(1, 20), height, width))}, to));
  Case made = without_pullback(image_case(maker, random, random.between(1, 3)), DPM_OP_UPSAMPLE, kReason);
  return without_pushforward(std::move(made), DPM_OP_UPSAMPLE, kReason);
}

Case random_resample(RandomValues& random, int index) {
  const int channels = random.between(1, 20);
  const dpm_op op = kWays[index % 3];
  const int unit = op == DPM_OP_AVERAGE_POOL ? 2 : 1;
  const int height = unit * random.between(1, 6);
  const int width = unit * random.between(1, 6);
  return resample(random, op, channels, height, width, random.between(1, 3));
}

Case large_resample(RandomValues& random, int index) { return resample(random, kWays[index], 128, 32, 32, 4); }

}  // namespace

std::vector<CaseFamily> resample_cases() {
  return {{"Random", random_resample, 24}, {"Resize", random_resize, 16}, {"128x32x32", large_resample, 3, true}};
}

}  // namespace dpm::test
