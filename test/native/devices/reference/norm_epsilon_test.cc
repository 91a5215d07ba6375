// Test of the reference device's group norm of nearly constant maps, where epsilon matters, against the formula,
// because all devices are compared with it.
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

/// Computes the norm of `image` in double; `image` and the result are [batch][channels][side][side].
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

class NormEpsilon : public testing::TestWithParam<float> {};

TEST_P(NormEpsilon, DecidesWhereMapsHardlyVary) {
  for (const Shape& shape : {Shape{6, 2, 3}, Shape{64, 16, 8}, Shape{32, 1, 40}}) {
    RandomValues random(3);
    GraphMaker maker(random);
    const int image = maker.image(shape.channels, shape.side, shape.side);
    maker.output(maker.norm(image, shape.groups, GetParam()));
    const std::vector<float> values = random.normals(2 * maker.graph().values[0].elements(), 1e-3F);
    const std::vector<float> expected = normalised(values, shape, static_cast<double>(GetParam()), maker.graph());
    const auto found = run_graph(Device::open("reference", {}), maker.graph(), 2, {values, {}, {}}, false);
    EXPECT_LT(relative_difference(found, expected), 1e-6) << shape.channels << " channels";
  }
}

INSTANTIATE_TEST_SUITE_P(Epsilons, NormEpsilon, testing::Values(1e-6F, 1e-5F, 1e-3F),
                         [](const auto& info) { return "Case" + std::to_string(info.index); });

}  // namespace
}  // namespace dpm::test
