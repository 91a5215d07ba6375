// Cases of group norms, for maps of every size and variance, with the scale, the shift and the SiLU that are folded
// into them.
#include "operations/operations.h"

namespace dpm::test {
namespace {

struct Shape {
  int channels;
  int groups;
  int side;
};

Case random_norm(RandomValues& random, int index) {
  const int groups = random.between(1, 8);
  const int channels = groups * random.between(1, 9);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  maker.leave(maker.norm(maker.enter(maker.image(channels, height, width)), groups));
  // Means far from zero reveal a careless variance. In 16 bits they have cost the map itself 5 bits.
  const bool is_far = index % 3 == 0;
  Case made = image_case(maker, random, batch, 1, is_far ? 30.0F : 0.0F);
  if (is_far) made.looseness = 2;
  return made;
}

/// Makes a variance of about a millionth, where epsilon matters: for a few channels, for a group per vector, for maps
/// that no block of a GPU holds, and for more channels than threads.
Case norm_by_epsilon(RandomValues& random, int index) {
  constexpr Shape kShapes[] = {{6, 2, 3}, {64, 16, 8}, {32, 1, 40}, {4, 1, 120}, {4099, 1, 2}};
  constexpr float kEpsilons[] = {1e-6F, 1e-5F, 1e-3F};
  const Shape shape = kShapes[index % 5];
  GraphMaker maker(random);
  const int x = maker.affine(maker.image(shape.channels, shape.side, shape.side), 1);
  maker.leave(maker.norm(x, shape.groups, kEpsilons[index / 5]));
  return image_case(maker, random, 2, 1e-3F);
}

Case wide_norm(RandomValues& random, int /*index*/) {
  GraphMaker maker(random);
  maker.leave(maker.norm(maker.enter(maker.image(5 * 3333, 2, 1)), 5));
  return image_case(maker, random, 1);
}

/// Makes a norm between convolutions, with all operations that are folded into it.
Case modulated_norm(RandomValues& random, const Shape& shape, int batch) {
  GraphMaker maker(random);
  const int map = maker.bias(maker.convolution(maker.image(3, shape.side, shape.side), shape.channels, same_size(3)));
  const int vector = maker.time_vector(2 * shape.channels);
  const int normed = maker.silu(maker.add(DPM_OP_SCALE_SHIFT, {maker.norm(map, shape.groups), vector}));
  maker.output(maker.bias(maker.convolution(normed, 3, same_size(3))));
  return image_case(maker, random, batch);
}

Case random_modulated_norm(RandomValues& random, int /*index*/) {
  const int groups = random.between(1, 4);
  return modulated_norm(random, {groups * random.between(2, 9), groups, random.between(3, 9)}, random.between(1, 3));
}

/// Makes a map whose norm's derivative needs more than a block of a GPU.
Case modulated_norm_of_large_map(RandomValues& random, int /*index*/) { return modulated_norm(random, {8, 1, 48}, 1); }

Case large_norm(RandomValues& random, int index) {
  GraphMaker maker(random);
  const Shape shape = index == 0 ? Shape{128, 32, 32} : Shape{512, 32, 8};
  maker.leave(maker.norm(maker.enter(maker.image(shape.channels, shape.side, shape.side)), shape.groups));
  return image_case(maker, random, 4);
}

}  // namespace

std::vector<CaseFamily> group_norm_cases() {
  return {{"Random", random_norm, 30},
          {"Epsilon", norm_by_epsilon, 15},
          {"Wide", wide_norm},
          {"Modulated", random_modulated_norm, 12},
          {"ModulatedLargeMap", modulated_norm_of_large_map},
          {"Large", large_norm, 2, true}};
}

}  // namespace dpm::test
