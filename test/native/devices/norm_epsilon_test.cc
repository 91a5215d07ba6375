// Group norm of maps that hardly vary, where epsilon decides, on every device against the formula.
#include <gtest/gtest.h>

#include <cmath>

#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

struct Shape {
  int channels;
  int groups;
  int side;
};

/// The norm of `image` in double; `image` and the result are [batch][channels][side][side].
std::vector<float> normalised(const std::vector<float>& image, const Shape& shape, double epsilon,
                              const graph::Graph& graph) {
  const auto* gamma = static_cast<const float*>(graph.constants[0].data);
  const auto* beta = static_cast<const float*>(graph.constants[1].data);
  const std::size_t pixels = static_cast<std::size_t>(shape.side) * static_cast<std::size_t>(shape.side);
  const std::size_t of_group = static_cast<std::size_t>(shape.channels / shape.groups) * pixels;
  std::vector<float> result(image.size());
  for (std::size_t first = 0; first < image.size(); first += of_group) {
    double mean = 0;
    double variance = 0;
    for (std::size_t i = first; i < first + of_group; ++i) mean += static_cast<double>(image[i]);
    mean /= static_cast<double>(of_group);
    for (std::size_t i = first; i < first + of_group; ++i) {
      variance += std::pow(static_cast<double>(image[i]) - mean, 2) / static_cast<double>(of_group);
    }
    for (std::size_t i = first; i < first + of_group; ++i) {
      const std::size_t channel = i / pixels % static_cast<std::size_t>(shape.channels);
      const double normal = (static_cast<double>(image[i]) - mean) / std::sqrt(variance + epsilon);
      result[i] = static_cast<float>(normal * static_cast<double>(gamma[channel]) + static_cast<double>(beta[channel]));
    }
  }
  return result;
}

/// How far a device's norm is from the formula where the variance is about a millionth.
double difference(const std::shared_ptr<Device>& device, const Shape& shape, float epsilon) {
  RandomValues random(3);
  GraphMaker maker(random);
  const int image = maker.image(shape.channels, shape.side, shape.side);
  maker.output(maker.affine(maker.norm(maker.affine(image, 1), shape.groups, epsilon), 1));
  const std::vector<float> values = random.normals(2 * maker.graph().values[0].elements(), 1e-3F);
  const std::vector<float> expected = normalised(values, shape, static_cast<double>(epsilon), maker.graph());
  return relative_difference(run_graph(device, maker.graph(), 2, {values, {}, {}}, false), expected);
}

class NormEpsilon : public testing::TestWithParam<Shape> {
 protected:
  static void expect_formula(const char* device) {
    for (const float epsilon : {1e-6F, 1e-5F, 1e-3F}) {
      EXPECT_LT(difference(Device::open(device, {}), GetParam(), epsilon), 2e-5) << device << ", " << epsilon;
    }
  }
};

TEST_P(NormEpsilon, DecidesWhereMapsHardlyVary) {
  expect_formula("reference");
  expect_formula("cuda:0");
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    expect_formula("cpu");
  }
}

// Of a few channels, of a group a vector, of maps that no block of a card holds, and of more channels than threads.
INSTANTIATE_TEST_SUITE_P(Shapes, NormEpsilon,
                         testing::Values(Shape{6, 2, 3}, Shape{64, 16, 8}, Shape{32, 1, 40}, Shape{16, 4, 120},
                                         Shape{4099, 1, 2}),
                         [](const auto& info) {
                           return std::to_string(info.param.channels) + "x" + std::to_string(info.param.side);
                         });

}  // namespace
}  // namespace dpm::test
