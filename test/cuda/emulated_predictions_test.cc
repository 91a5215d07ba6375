// Test that the prediction of a network of a 16-bit type keeps the digits that its maps do not have, where its last
// layer supports that.
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cuda/kernels/storage.h"
#include "cuda_device.h"
#include "evaluate_network.h"
#include "graph_maker.h"
#include "sampling/run.h"
#include "scoped_environment.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

constexpr int kSide = 6;
constexpr NetworkOptions kOptions{0, false, {}};

class EmulatedPredictions : public CudaDevice {
 protected:
  using End = std::function<void(GraphMaker&, int)>;

  /// Makes a graph that ends with `end`, which reads a map of 16 channels.
  graph::Graph graph_of(const End& end) {
    GraphMaker maker(random_);
    end(maker, maker.convolution(maker.image(2, kSide, kSide), 16, same_size(3)));
    return maker.graph();
  }

  /// Makes a graph whose `end` reads an image of whole accesses.
  graph::Graph graph_of_image(const End& end) {
    GraphMaker maker(random_);
    end(maker, maker.image(8, kSide, kSide));
    return maker.graph();
  }

  /// Makes a map of `left` channels that has others beside it, because a node reads both.
  static int left_of_two(GraphMaker& maker, int x, int left, int right) {
    const int map = maker.convolution(x, left, same_size(1));
    const int both = maker.add(DPM_OP_CONCAT, {map, maker.convolution(x, right, same_size(1))});
    maker.graph().bind_output(maker.silu(both), DPM_BINDING_HEAD);
    return map;
  }

  /// Returns whether the outputs agree with the reference, and the share of outputs that are not numbers of the type.
  static double unrounded(const graph::Graph& graph, DType dtype) {
    Network reference(Device::open("reference", {}), graph, kOptions);
    Network network(open(dtype), graph, kOptions);
    const std::vector<float> actual = evaluate_twice(network, 3);
    EXPECT_LT(relative_difference(actual, evaluate_twice(reference, 3)), 3e-2);
    const auto count = std::count_if(actual.begin(), actual.end(), [&](float value) {
      return cuda::with_storage(
          dtype, [&](auto type) { return cuda::to_float(cuda::from_float<decltype(type)>(value)) != value; });
    });
    return static_cast<double>(count) / static_cast<double>(actual.size());
  }

  RandomValues random_{6};
};

constexpr DType kHalves[] = {DType::kFloat16, DType::kBFloat16};

TEST_F(EmulatedPredictions, AreNotRounded) {
  const auto last = [](GraphMaker& maker, int x) { maker.output(maker.bias(maker.convolution(x, 2, same_size(3)))); };
  const auto with_head = [](GraphMaker& maker, int x) {
    maker.output(maker.convolution(x, 2, same_size(3)));
    maker.graph().bind_output(maker.bias(maker.convolution(x, 2, same_size(1))), DPM_BINDING_HEAD);
  };
  for (const DType dtype : kHalves) {
    EXPECT_GT(unrounded(graph_of(last), dtype), 0.7);
    EXPECT_GT(unrounded(graph_of(with_head), dtype), 0.7);
    const ScopedEnvironment off("DPM_CUDA_PREDICT", "off");
    EXPECT_EQ(unrounded(graph_of(with_head), dtype), 0.0);
  }
}

TEST_F(EmulatedPredictions, OfAStepAreThose) {
  const graph::Graph graph =
      graph_of([](GraphMaker& maker, int x) { maker.output(maker.bias(maker.convolution(x, 2, same_size(3)))); });
  std::atomic<bool> running{false};
  const auto images = [&](const std::shared_ptr<Device>& device) {
    Network network(device, graph, kOptions);
    RunRequest run = uniform_request(3, 3);
    for (SampleIdentity& sample : run.samples) sample.label = -1;
    return run_programs(network, run, running).images.floats;
  };
  const std::vector<float> expected = images(Device::open("reference", {}));
  for (const DType dtype : kHalves) EXPECT_LT(relative_difference(images(open(dtype)), expected), 3e-2);
}

TEST_F(EmulatedPredictions, OfOtherLastLayersAreRightToo) {
  const auto narrow = [](GraphMaker& maker, int x) { return maker.convolution(x, 2, same_size(3)); };
  const std::vector<std::pair<const char*, End>> ends = {
      {"SiLU", [&](GraphMaker& maker, int x) { maker.output(maker.silu(narrow(maker, x))); }},
      {"scale", [&](GraphMaker& maker, int x) { maker.output(maker.affine(narrow(maker, x), 0.5F)); }},
      {"residual", [&](GraphMaker& maker, int x) { maker.output(maker.sum(narrow(maker, x), narrow(maker, x))); }},
      {"vector",
       [&](GraphMaker& maker, int x) {
         const int vector = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{2});
         maker.output(maker.add(DPM_OP_CHANNEL_ADD, {narrow(maker, x), vector}));
       }},
      {"upsampled", [&](GraphMaker& maker, int x) { maker.output(narrow(maker, maker.add(DPM_OP_UPSAMPLE, {x}))); }},
      {"with zeros between",
       [&](GraphMaker& maker, int x) { maker.output(narrow(maker, maker.add(DPM_OP_ZERO_UPSAMPLE, {x}))); }},
      {"side by side",
       [&](GraphMaker& maker, int x) { maker.output(maker.add(DPM_OP_CONCAT, {narrow(maker, x), narrow(maker, x)})); }},
      {"read again",
       [&](GraphMaker& maker, int x) {
         const int out = narrow(maker, x);
         maker.output(out);
         maker.graph().bind_output(maker.silu(out), DPM_BINDING_HEAD);
       }},
      {"many channels", [&](GraphMaker& maker, int x) { maker.output(maker.convolution(x, 9, same_size(3))); }},
      {"no whole accesses",
       [&](GraphMaker& maker, int x) { maker.output(narrow(maker, maker.convolution(x, 12, same_size(1)))); }},
      {"a part of a map of no whole accesses",
       [&](GraphMaker& maker, int x) { maker.output(narrow(maker, left_of_two(maker, x, 8, 4))); }},
      {"another layer", [&](GraphMaker& maker, int x) { maker.output(maker.norm(narrow(maker, x), 2)); }},
      {"the image's", [&](GraphMaker& maker, int x) { maker.output(narrow(maker, x)); }}};
  for (const auto& [name, end] : ends) {
    SCOPED_TRACE(name);
    const graph::Graph graph = std::string(name) == "the image's" ? graph_of_image(end) : graph_of(end);
    for (const char* products : {"all", "none"}) {
      // A layer of its own enlarges the map where there is a library.
      const bool rounds = std::string(name) != "upsampled" || std::string(products) == "none";
      const ScopedEnvironment chosen("DPM_EMULATED_PRODUCTS", products);
      for (const DType dtype : kHalves) EXPECT_EQ(unrounded(graph, dtype), rounds ? 0.0 : 1.0) << products;
    }
  }
}

}  // namespace
}  // namespace dpm::test
