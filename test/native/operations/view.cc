// Cases of ranges of a map's channels, whose pixel stride is wider than they are, and of maps with another height and
// width.
#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Makes a range with a reader: a resampling, a copy, or only a view with exchanged height and width.
Case random_range(RandomValues& random, int index) {
  const int first = random.between(1, 9);
  const int channels = random.between(1, 20);
  const int height = 2 * random.between(1, 6);
  const int width = 2 * random.between(1, 6);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(first + channels + random.between(0, 3), height, width));
  const bool is_turned = index % 4 == 3;
  const int part =
      maker.add(DPM_OP_VIEW, {x}, graph::View{first, channels, is_turned ? width : height, is_turned ? height : width});
  if (index % 4 < 2) {
    maker.leave(maker.add(index % 4 == 0 ? DPM_OP_UPSAMPLE : DPM_OP_AVERAGE_POOL, {part}));
  } else if (index % 4 == 2) {
    maker.leave(maker.add(DPM_OP_CONCAT, {part, maker.affine(part, -3, 0.5F)}));
  } else {
    maker.leave(part);
  }
  return image_case(maker, random, batch);
}

/// Makes a range before a convolution: with its map's height and width it may be read in place; with others it is
/// copied.
Case range_before_convolution(RandomValues& random, int index) {
  constexpr int kFirst[] = {0, 3, 8};
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(24, 6, 5));
  const bool is_in_place = index < 3;
  const int part =
      maker.add(DPM_OP_VIEW, {x}, graph::View{kFirst[index % 3], 16, is_in_place ? 6 : 10, is_in_place ? 5 : 3});
  maker.leave(maker.bias(maker.convolution(part, 8, same_size(3))));
  return image_case(maker, random, 2);
}

Case other_sides(RandomValues& random, int index) {
  const int channels = random.between(1, 20);
  const int height = random.between(1, 8);
  const int width = random.between(1, 8);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  maker.leave(index % 2 == 0 ? maker.view(x, 1, height * width) : maker.silu(maker.view(x, width, height)));
  return image_case(maker, random, 2);
}

Case large_range(RandomValues& random, int /*index*/) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(256, 32, 32));
  maker.leave(maker.silu(maker.add(DPM_OP_VIEW, {x}, graph::View{128, 128, 32, 32})));
  return image_case(maker, random, 4);
}

}  // namespace

std::vector<CaseFamily> view_cases() {
  return {{"Range", random_range, 24},
          {"RangeBeforeConvolution", range_before_convolution, 6},
          {"OtherSides", other_sides, 6},
          {"128of256x32x32", large_range, 1, true}};
}

}  // namespace dpm::test
