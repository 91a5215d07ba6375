// Cases of SiLU, Mish, GELU and ReLU.
#include "operations/operations.h"

namespace dpm::test {
namespace {

constexpr int kFunctions = 4;

/// Makes numbers large enough for every function to reach its limits. There is no shift, because its rounding would
/// change slopes of ReLU.
Case random_activation(RandomValues& random, int index) {
  const int channels = random.between(1, 40);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  const int x = maker.affine(maker.image(channels, height, width), index % 5 == 4 ? 30.0F : 3.0F);
  const int kind = index % kFunctions;
  maker.leave(kind == DPM_ACTIVATION_SILU ? maker.silu(x) : maker.activation(x, static_cast<dpm_activation>(kind)));
  return image_case(maker, random, batch);
}

Case large_activation(RandomValues& random, int index) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(128, 32, 32));
  maker.leave(index == DPM_ACTIVATION_SILU ? maker.silu(x) : maker.activation(x, static_cast<dpm_activation>(index)));
  return image_case(maker, random, 4);
}

}  // namespace

std::vector<CaseFamily> activation_cases() {
  return {{"Random", random_activation, 24}, {"128x32x32", large_activation, kFunctions, true}};
}

}  // namespace dpm::test
