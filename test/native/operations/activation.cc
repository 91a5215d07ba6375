// Cases of every activation, SiLU by its own operation.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case activation(GraphMaker& maker, RandomValues& random, int x, dpm_activation kind, int batch) {
  maker.leave(kind == DPM_ACTIVATION_SILU ? maker.silu(x) : maker.activation(x, kind));
  return image_case(maker, random, batch);
}

/// Makes numbers large enough for every function to reach its limits. There is no shift, because its rounding would
/// change slopes of ReLU.
Case random_activation(RandomValues& random, int index) {
  const int channels = random.between(1, 40);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  const int x = maker.affine(maker.image(channels, height, width), index % 5 == 4 ? 30.0F : 3.0F);
  return activation(maker, random, x, static_cast<dpm_activation>(index % DPM_ACTIVATION_COUNT), batch);
}

Case large_activation(RandomValues& random, int index) {
  GraphMaker maker(random);
  return activation(maker, random, maker.enter(maker.image(128, 32, 32)), static_cast<dpm_activation>(index), 4);
}

}  // namespace

std::vector<CaseFamily> activation_cases() {
  return {{"Random", random_activation, 36}, {"128x32x32", large_activation, DPM_ACTIVATION_COUNT, true}};
}

}  // namespace dpm::test
