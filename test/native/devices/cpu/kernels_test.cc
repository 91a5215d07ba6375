// Every kernel of the CPU device but convolutions, on every instruction set this processor has, against the reference
// device's loops.
#include <gtest/gtest.h>

#include "devices/cpu/kernel_cases.h"
#include "fir_graph.h"

namespace dpm::test {
namespace {

Case random_norm(RandomValues& random, int index) {
  const int groups = random.between(1, 8);
  const int channels = groups * random.between(1, 9);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  maker.leave(maker.norm(maker.enter(maker.image(channels, height, width)), groups));
  // Means far from zero are what a careless variance gets wrong.
  return image_case(maker, random, batch, index % 3 == 0 ? 30.0F : 0.0F);
}

Case random_attention(RandomValues& random, int /*index*/) {
  const int heads = random.between(1, 3);
  const int channels = heads * random.between(1, 40);
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  const auto project = [&] {
    return maker.convolution(x, channels, {}, 1.5F / std::sqrt(static_cast<float>(channels)));
  };
  const int query = project();
  const int key = project();
  const int value = project();
  maker.leave(maker.attention(query, key, value, heads));
  return image_case(maker, random, batch);
}

Case random_resample(RandomValues& random, int index) {
  const int channels = random.between(1, 20);
  const int height = 2 * random.between(1, 6);
  const int width = 2 * random.between(1, 6);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  if (index % 3 == 2) {
    maker.leave(maker.add(DPM_OP_CONCAT, {x, maker.affine(x, -3, 0.5F)}));
  } else {
    maker.leave(maker.add(index % 3 == 0 ? DPM_OP_UPSAMPLE : DPM_OP_AVERAGE_POOL, {x}));
  }
  return image_case(maker, random, batch);
}

/// Some of a map's channels, whose pixels lie farther apart than they are wide.
Case random_part(RandomValues& random, int index) {
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

Case random_fir(RandomValues& random, int index) {
  Case test;
  const int channels = random.between(1, index % 4 == 0 ? 70 : 20);
  const int unit = index % 2 == 0 ? 1 : 2;
  const int padding = index % 3 == 0 ? 0 : 1;
  const int height = unit * random.between(2 - padding, 6);
  const int width = unit * random.between(2 - padding, 6);
  test.batch = random.between(1, 3);
  test.graph = fir_graph(unit == 1 ? DPM_OP_FIR_UPSAMPLE : DPM_OP_FIR_DOWNSAMPLE, channels, height, width, padding);
  test.inputs.image = random.normals(static_cast<std::size_t>(test.batch) * test.graph.values[0].elements());
  return test;
}

Case random_embedding(RandomValues& random, int index) {
  Case test;
  test.batch = random.between(1, 5);
  GraphMaker maker(random);
  const int time = maker.time();
  const int label = maker.label();
  graph::TimeEmbedding how{random.between(4, 40), index % 3 == 0 ? 1.0F : 0.0F, index % 2 == 0, index % 4 == 3};
  graph::Node sinusoid = graph::make_node(DPM_OP_TIME_EMBEDDING, "time", {time});
  if (index % 4 >= 2) {
    how.length += how.length % 2;
    sinusoid.weights = {maker.constant({how.length / 2})};
  }
  sinusoid.attributes = how;
  maker.leave(maker.sum(maker.add(sinusoid), maker.row(label, 7, how.length)));
  test.graph = maker.graph();
  for (int n = 0; n < test.batch; ++n) {
    test.inputs.time.push_back(static_cast<float>(random.between(1, 999)) + 0.25F * static_cast<float>(n));
    test.inputs.labels.push_back(random.between(-1, 6));
  }
  return test;
}

Case random_activation(RandomValues& random, int index) {
  const int channels = random.between(1, 40);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  // Numbers large enough for every function to reach its limits.
  const int x = maker.affine(maker.image(channels, height, width), index % 4 == 3 ? 30.0F : 3.0F);
  maker.leave(maker.activation(x, static_cast<dpm_activation>(index % 3)));
  return image_case(maker, random, batch);
}

Case random_separable(RandomValues& random, int index) {
  const int batch = random.between(1, 3);
  const int channels = random.between(1, 40);
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  const int rows = random.between(1, 12);
  const int columns = random.between(1, 12);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  maker.leave(index % 3 == 2 ? maker.position(x) : maker.separable(x, rows, columns));
  return image_case(maker, random, batch);
}

class Kernels : public testing::TestWithParam<Family> {};

TEST_P(Kernels, AgreeWithTheReference) { compare_with_reference(GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Families, Kernels,
    testing::Values(Family{"GroupNorm", random_norm, 30}, Family{"Attention", random_attention, 25},
                    Family{"Resample", random_resample, 18}, Family{"Part", random_part, 24},
                    Family{"FusedPart", random_part, 24, true}, Family{"Fir", random_fir, 24},
                    Family{"FirParts", random_fir, 24, true}, Family{"Activation", random_activation, 18},
                    Family{"Separable", random_separable, 24}, Family{"Embedding", random_embedding, 12}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Kernel, NormsMapsOfAnyNumberOfChannels) {
  compare_with_reference({"WideNorm",
                          [](RandomValues& random, int /*index*/) {
                            GraphMaker maker(random);
                            maker.leave(maker.norm(maker.enter(maker.image(5 * 3333, 2, 1)), 5));
                            return image_case(maker, random, 1);
                          },
                          1});
}

TEST(Kernel, BatchAndThreadsDoNotChangeABit) {
  for (const MakeCase make : {random_norm, random_attention, random_fir, random_separable}) expect_independence(make);
}

}  // namespace
}  // namespace dpm::test
