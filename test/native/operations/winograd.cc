// Cases of convolutions large enough for Winograd's algorithm, with everything that can be fused into them.
#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Makes one with enlargement before it, or with the map added after it, or scaled and through SiLU.
Case random_winograd(RandomValues& random, int index) {
  const int channels = 16 * random.between(4, 6);
  const int outputs = 16 * random.between(4, 6);
  const bool enlarged = index % 3 == 0;
  const int height = random.between(5, 13);
  const int width = random.between(5, 13);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  int x = maker.enter(maker.image(channels, height, width));
  if (enlarged) x = maker.add(DPM_OP_UPSAMPLE, {x});
  int out = maker.bias(maker.convolution(x, outputs, same_size(3)));
  if (index % 2 == 0 && !enlarged && channels == outputs) out = maker.sum(out, x);
  if (index % 2 == 1) out = maker.silu(maker.affine(out, 0.7F));
  maker.leave(out);
  return image_case(maker, random, batch);
}

Case large_winograd(RandomValues& random, int /*index*/) {
  GraphMaker maker(random);
  const int x = maker.add(DPM_OP_UPSAMPLE, {maker.enter(maker.image(128, 16, 16))});
  maker.leave(maker.bias(maker.convolution(x, 128, same_size(3))));
  return image_case(maker, random, 4);
}

}  // namespace

std::vector<CaseFamily> winograd_cases() {
  return {{"Random", random_winograd, 12}, {"128x16x16Enlarged", large_winograd, 1, true}};
}

}  // namespace dpm::test
