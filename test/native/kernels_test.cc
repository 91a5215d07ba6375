// Every kernel of the CPU device, on every instruction set this processor has, against the reference device's loops.
#include <gtest/gtest.h>

#include "core/error.h"
#include "devices/cpu/isa_select.h"
#include "devices/cpu/layers/convolution.h"
#include "devices/cpu/network.h"
#include "fir_graph.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

using graph::Graph;
using graph::Node;

struct Case {
  Graph graph;
  int batch = 1;
  GraphInputs inputs;
};

std::size_t elements(int batch, int channels, int height, int width) {
  return static_cast<std::size_t>(batch) * static_cast<std::size_t>(channels) * static_cast<std::size_t>(height) *
         static_cast<std::size_t>(width);
}

/// Copies the image into an internal value and back out around the node under test, so that its maps are internal. The
/// shift keeps the copy from being fused away.
int enter(Graph& graph, int image) {
  Node copy;
  copy.op = DPM_OP_AFFINE;
  copy.name = "copy";
  copy.shift = 0.25F;
  copy.inputs[0] = image;
  return graph.add(copy);
}

void leave(Graph& graph, int value) {
  const int out = enter(graph, value);
  graph.values[static_cast<std::size_t>(out)].role = DPM_ROLE_OUTPUT;
}

Node convolution_node(int kernel) {
  Node node;
  node.op = DPM_OP_CONVOLUTION;
  node.name = "convolution";
  node.kernel = kernel;
  return node;
}

Case random_convolution(RandomValues& random, int index) {
  Case test;
  const int kernel = index % 3 == 0 ? 1 : 3;
  const int channels = random.between(1, index % 5 == 0 ? 70 : 20);
  const int outputs = random.between(1, index % 4 == 0 ? 90 : 34);
  const int height = random.between(2, 17);
  const int width = random.between(2, index % 7 == 0 ? 45 : 17);
  test.batch = random.between(1, 4);
  const int image = test.graph.add_input(DPM_ROLE_IMAGE, channels, height, width);
  Node node = convolution_node(kernel);
  const bool external = kernel == 3 && index % 2 == 0;
  node.inputs[0] = external ? image : enter(test.graph, image);
  if (kernel == 3) {
    node.stride = random.between(1, 2);
    node.pad_before = node.stride == 2 ? random.between(0, 1) : 1;
    node.pad_after = 1;
  }
  node.weights = {
      test.graph.add_constant(random.constant({outputs, channels, kernel, kernel}, 1.0F / std::sqrt(9.0F * channels)))};
  const int out = test.graph.add(node);
  if (index % 3 == 1) {
    test.graph.values[static_cast<std::size_t>(out)].role = DPM_ROLE_OUTPUT;
  } else {
    leave(test.graph, out);
  }
  test.inputs.image = random.normals(elements(test.batch, channels, height, width));
  return test;
}

/// A convolution large enough for Winograd's algorithm, with everything that can be fused into it.
Case random_winograd(RandomValues& random, int index) {
  Case test;
  const int channels = 16 * random.between(4, 6);
  const int outputs = 16 * random.between(4, 6);
  const int zoom = index % 3 == 0 ? 2 : 1;
  const int height = random.between(5, 20);
  const int width = random.between(5, 20);
  test.batch = random.between(1, 3);
  const int image = test.graph.add_input(DPM_ROLE_IMAGE, channels, height, width);
  int x = enter(test.graph, image);
  if (zoom == 2) {
    Node enlarge;
    enlarge.op = DPM_OP_UPSAMPLE;
    enlarge.name = "enlarge";
    enlarge.inputs[0] = x;
    x = test.graph.add(enlarge);
  }
  Node node = convolution_node(3);
  node.pad_before = node.pad_after = 1;
  node.inputs[0] = x;
  node.weights = {test.graph.add_constant(
      random.constant({outputs, channels, 3, 3}, 1.0F / std::sqrt(9.0F * static_cast<float>(channels))))};
  Node bias;
  bias.op = DPM_OP_BIAS;
  bias.name = "bias";
  bias.inputs[0] = test.graph.add(node);
  bias.biases = {test.graph.add_constant(random.constant({outputs}))};
  int out = test.graph.add(bias);
  if (index % 2 == 0 && zoom == 1 && channels == outputs) {
    Node sum;
    sum.op = DPM_OP_ADD;
    sum.name = "sum";
    sum.inputs[0] = out;
    sum.inputs[1] = x;
    out = test.graph.add(sum);
  }
  if (index % 2 == 1) {
    Node scale;
    scale.op = DPM_OP_AFFINE;
    scale.name = "scale";
    scale.inputs[0] = out;
    scale.scale = 0.7F;
    out = test.graph.add(scale);
    Node activation;
    activation.op = DPM_OP_SILU;
    activation.name = "activation";
    activation.inputs[0] = out;
    out = test.graph.add(activation);
  }
  leave(test.graph, out);
  test.inputs.image = random.normals(elements(test.batch, channels, height, width));
  return test;
}

Node norm_node(RandomValues& random, Graph& graph, int input, int channels, int groups) {
  Node node;
  node.op = DPM_OP_GROUP_NORM;
  node.name = "norm";
  node.inputs[0] = input;
  node.groups = groups;
  node.epsilon = 1e-5F;
  node.weights = {graph.add_constant(random.constant({channels}, 0.3F, 1))};
  node.biases = {graph.add_constant(random.constant({channels}, 0.3F))};
  return node;
}

/// concat(a, b) -> norm [-> SiLU] -> convolution, with every way of keeping what is normalised alive: read by nobody
/// else, by the convolution's residual, by a later sum.
Case random_chain(RandomValues& random, int index) {
  Case test;
  const int channels = 2 * random.between(1, 40);
  const int kernel = index % 2 == 0 ? 3 : 1;
  const int height = random.between(2, 12);
  const int width = random.between(2, 12);
  test.batch = random.between(1, 3);
  const int image = test.graph.add_input(DPM_ROLE_IMAGE, channels, height, width);
  const auto convolve = [&](int input, int outputs, int size) {
    const int inputs = test.graph.values[static_cast<std::size_t>(input)].channels;
    Node node = convolution_node(size);
    node.pad_before = node.pad_after = size / 2;
    node.inputs[0] = input;
    node.weights = {test.graph.add_constant(random.constant({outputs, inputs, size, size}, 0.5F / std::sqrt(inputs)))};
    return test.graph.add(node);
  };
  const int copied = enter(test.graph, image);
  Node join;
  join.op = DPM_OP_CONCAT;
  join.name = "concat";
  join.inputs[0] = convolve(copied, channels, 1);
  join.inputs[1] = convolve(copied, channels, 3);
  const int x = index % 5 == 0 ? join.inputs[1] : test.graph.add(join);
  const int width_of_x = test.graph.values[static_cast<std::size_t>(x)].channels;
  int h = test.graph.add(norm_node(random, test.graph, x, width_of_x, 2));
  if (index % 3 != 0) {
    Node activation;
    activation.op = DPM_OP_SILU;
    activation.name = "activation";
    activation.inputs[0] = h;
    h = test.graph.add(activation);
  }
  h = convolve(h, width_of_x, kernel);
  if (index % 4 != 0) {
    Node sum;
    sum.op = DPM_OP_ADD;
    sum.name = "sum";
    sum.inputs[0] = index % 4 == 1 ? h : convolve(h, width_of_x, 1);
    sum.inputs[1] = x;
    h = test.graph.add(sum);
  }
  leave(test.graph, h);
  test.inputs.image = random.normals(elements(test.batch, channels, height, width));
  return test;
}

Case random_norm(RandomValues& random, int index) {
  Case test;
  const int groups = random.between(1, 8);
  const int channels = groups * random.between(1, 9);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  test.batch = random.between(1, 3);
  const int image = test.graph.add_input(DPM_ROLE_IMAGE, channels, height, width);
  leave(test.graph, test.graph.add(norm_node(random, test.graph, enter(test.graph, image), channels, groups)));
  // Means far from zero are what a careless variance gets wrong.
  const float shift = index % 3 == 0 ? 30.0F : 0.0F;
  test.inputs.image = random.normals(elements(test.batch, channels, height, width), 1, shift);
  return test;
}

Case random_attention(RandomValues& random, int /*index*/) {
  Case test;
  const int heads = random.between(1, 3);
  const int channels = heads * random.between(1, 40);
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  test.batch = random.between(1, 3);
  const int image = test.graph.add_input(DPM_ROLE_IMAGE, channels, height, width);
  const int x = enter(test.graph, image);
  Node node;
  node.op = DPM_OP_ATTENTION;
  node.name = "attention";
  node.heads = heads;
  for (int i = 0; i < 3; ++i) {
    Node product;
    product.op = DPM_OP_CONVOLUTION;
    product.name = "projection";
    product.inputs[0] = x;
    product.weights = {
        test.graph.add_constant(random.constant({channels, channels}, 1.5F / std::sqrt(static_cast<float>(channels))))};
    node.inputs[static_cast<std::size_t>(i)] = test.graph.add(product);
  }
  leave(test.graph, test.graph.add(node));
  test.inputs.image = random.normals(elements(test.batch, channels, height, width));
  return test;
}

Case random_resample(RandomValues& random, int index) {
  Case test;
  const int channels = random.between(1, 20);
  const int height = 2 * random.between(1, 6);
  const int width = 2 * random.between(1, 6);
  test.batch = random.between(1, 3);
  const int image = test.graph.add_input(DPM_ROLE_IMAGE, channels, height, width);
  const int x = enter(test.graph, image);
  Node node;
  node.name = "resample";
  node.op = index % 3 == 0 ? DPM_OP_UPSAMPLE : index % 3 == 1 ? DPM_OP_AVERAGE_POOL : DPM_OP_CONCAT;
  node.inputs[0] = x;
  if (node.op == DPM_OP_CONCAT) {
    Node scaled;
    scaled.op = DPM_OP_AFFINE;
    scaled.name = "second";
    scaled.inputs[0] = x;
    scaled.scale = -3;
    scaled.shift = 0.5F;
    node.inputs[1] = test.graph.add(scaled);
  }
  leave(test.graph, test.graph.add(node));
  test.inputs.image = random.normals(elements(test.batch, channels, height, width));
  return test;
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
  test.inputs.image = random.normals(elements(test.batch, channels, height, width));
  return test;
}

Case random_embedding(RandomValues& random, int index) {
  Case test;
  test.batch = random.between(1, 5);
  const int time = test.graph.add_input(DPM_ROLE_TIME, 1, 1, 1);
  const int label = test.graph.add_input(DPM_ROLE_LABEL, 1, 1, 1);
  Node sinusoid;
  sinusoid.op = DPM_OP_TIME_EMBEDDING;
  sinusoid.name = "time";
  sinusoid.inputs[0] = time;
  sinusoid.groups = random.between(4, 40);
  sinusoid.cosine_first = index % 2 == 0;
  sinusoid.frequency_shift = index % 3 == 0 ? 1.0F : 0.0F;
  sinusoid.logarithmic = index % 4 == 3;
  if (index % 4 >= 2) {
    sinusoid.groups += sinusoid.groups % 2;
    sinusoid.weights = {test.graph.add_constant(random.constant({sinusoid.groups / 2}))};
  }
  Node table;
  table.op = DPM_OP_EMBEDDING;
  table.name = "table";
  table.inputs[0] = label;
  table.weights = {test.graph.add_constant(random.constant({7, sinusoid.groups}))};
  Node sum;
  sum.op = DPM_OP_ADD;
  sum.name = "sum";
  sum.inputs[0] = test.graph.add(sinusoid);
  sum.inputs[1] = test.graph.add(table);
  leave(test.graph, test.graph.add(sum));
  for (int n = 0; n < test.batch; ++n) {
    test.inputs.time.push_back(static_cast<float>(random.between(1, 999)) + 0.25F * static_cast<float>(n));
    test.inputs.labels.push_back(random.between(-1, 6));
  }
  return test;
}

using MakeCase = Case (*)(RandomValues& random, int index);

struct Family {
  const char* name;
  MakeCase make;
  int cases;
  bool fused = false;
};

bool has_bf16(const std::string& isa) { return isa == "amx" || isa == "avx512bf16"; }

class Kernels : public testing::TestWithParam<Family> {};

TEST_P(Kernels, AgreeWithTheReference) {
  const auto reference = Device::open("reference", {});
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    for (int index = 0; index < GetParam().cases; ++index) {
      RandomValues random(static_cast<std::uint32_t>(100 + index));
      const Case test = GetParam().make(random, index);
      const auto expected = run_graph(reference, test.graph, test.batch, test.inputs, false);
      const auto difference = [&](DType dtype, bool exact) {
        const auto device = Device::open("cpu", {1 + index % 3, exact, dtype});
        return relative_difference(run_graph(device, test.graph, test.batch, test.inputs, GetParam().fused), expected);
      };
      ASSERT_LT(difference(DType::kFloat32, false), 5e-5) << isa << ", case " << index;
      ASSERT_LT(difference(DType::kFloat32, true), 2e-5) << isa << ", case " << index;
      if (has_bf16(isa)) {
        ASSERT_LT(difference(DType::kBFloat16, false), 3e-2) << isa << ", case " << index;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Kernels,
                         testing::Values(Family{"Convolution", random_convolution, 60},
                                         Family{"Winograd", random_winograd, 20, true},
                                         Family{"Chain", random_chain, 60, true}, Family{"GroupNorm", random_norm, 30},
                                         Family{"Attention", random_attention, 25},
                                         Family{"Resample", random_resample, 18}, Family{"Fir", random_fir, 24},
                                         Family{"FirParts", random_fir, 24, true},
                                         Family{"Embedding", random_embedding, 12}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Kernels, BatchAndThreadsDoNotChangeABit) {
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    for (const MakeCase make :
         {random_convolution, random_winograd, random_chain, random_norm, random_attention, random_fir}) {
      for (int index = 0; index < 12; ++index) {
        RandomValues random(static_cast<std::uint32_t>(index));
        Case test = make(random, index);
        test.batch = 3;
        const std::size_t image = test.graph.values[0].elements();
        test.inputs.image = random.normals(3 * image);
        GraphInputs second;
        second.image.assign(test.inputs.image.begin() + static_cast<std::ptrdiff_t>(image),
                            test.inputs.image.begin() + static_cast<std::ptrdiff_t>(2 * image));
        for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
          if (dtype == DType::kBFloat16 && !has_bf16(isa)) continue;
          const auto whole = run_graph(Device::open("cpu", {3, false, dtype}), test.graph, 3, test.inputs, true);
          const auto alone = run_graph(Device::open("cpu", {1, false, dtype}), test.graph, 1, second, true);
          const std::vector<float> part(whole.begin() + static_cast<std::ptrdiff_t>(alone.size()),
                                        whole.begin() + static_cast<std::ptrdiff_t>(2 * alone.size()));
          ASSERT_EQ(part, alone) << isa << ", case " << index << ", dtype " << static_cast<int>(dtype);
        }
      }
    }
  }
}

TEST(Kernels, ExactDevicesDoWithoutWinograd) {
  // Of those without a matrix unit, which leave Winograd nothing to win.
  const ScopedEnvironment forced("DPM_CPU_ISA", usable_isas().back());
  RandomValues random(7);
  const Case test = random_winograd(random, 2);
  const auto expected = run_graph(Device::open("reference", {}), test.graph, test.batch, test.inputs, false);
  const auto fast = run_graph(Device::open("cpu", {1, false}), test.graph, test.batch, test.inputs, true);
  const auto exact = run_graph(Device::open("cpu", {1, true}), test.graph, test.batch, test.inputs, true);
  EXPECT_NE(fast, exact);
  EXPECT_LT(relative_difference(exact, expected), 2e-6);
}

TEST(Kernels, WinogradStaysWithinItsMemory) {
  RandomValues random(7);
  const Case test = random_winograd(random, 2);
  const graph::LoweredGraph lowered(test.graph);
  cpu::Device device(1, cpu::select_isa(), false, 0);
  const auto used = [&](std::uint64_t allowed) {
    const cpu::Network network(device, lowered.get(), allowed);
    return device.memory.used();
  };
  const std::uint64_t unlimited = used(cpu::Network::kWinogradBytes);
  const std::uint64_t none = used(0);
  EXPECT_GT(unlimited, 3 * none);
  // One layer of 36 numbers per pair of channels: allowed to the byte, or not at all.
  const auto& in = test.graph.values[0];
  const auto& weight = test.graph.constants[0];
  const std::uint64_t bytes = 36 * 4 * static_cast<std::uint64_t>(in.channels * weight.dims[0]);
  EXPECT_EQ(used(bytes), unlimited);
  EXPECT_EQ(used(bytes - 1), none);
}

TEST(Kernels, WinogradServesTheLargestMapsFirst) {
  RandomValues random(8);
  Graph graph;
  int x = enter(graph, graph.add_input(DPM_ROLE_IMAGE, 64, 16, 16));
  const auto convolve = [&] {
    Node node = convolution_node(3);
    node.pad_before = node.pad_after = 1;
    node.inputs[0] = x;
    node.weights = {graph.add_constant(random.constant({64, 64, 3, 3}))};
    x = graph.add(node);
    return graph.nodes.size() - 1;
  };
  const std::size_t small = convolve();
  Node enlarge;
  enlarge.op = DPM_OP_UPSAMPLE;
  enlarge.name = "enlarge";
  enlarge.inputs[0] = x;
  x = graph.add(enlarge);
  const std::size_t large = convolve();
  leave(graph, x);

  const graph::LoweredGraph lowered(graph);
  const std::uint64_t one = std::uint64_t{36} * 4 * 64 * 64;
  const cpu::Device device(1, cpu::select_isa(), false, 0);
  const auto chosen = [&](std::uint64_t bytes) {
    const std::vector<bool> choice = cpu::choose_winograd(device, lowered.get(), bytes);
    return std::pair<bool, bool>(choice[small], choice[large]);
  };
  EXPECT_EQ(chosen(2 * one), std::pair(true, true));
  EXPECT_EQ(chosen(2 * one - 1), std::pair(false, true));
  EXPECT_EQ(chosen(one - 1), std::pair(false, false));
  const cpu::Device exact(1, cpu::select_isa(), true, 0);
  EXPECT_FALSE(cpu::choose_winograd(exact, lowered.get(), 2 * one)[large]);
}

TEST(InstructionSets, Bf16IsRefusedWhereItWouldBeSlow) {
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    const auto open = [](bool exact) { return Device::open("cpu", {1, exact, DType::kBFloat16}); };
    EXPECT_EQ(code_of([&] { open(true); }), ErrorCode::kUnsupported);
    if (has_bf16(isa)) {
      EXPECT_NO_THROW(open(false));
    } else {
      EXPECT_EQ(code_of([&] { open(false); }), ErrorCode::kUnsupported);
    }
    EXPECT_EQ(code_of([] { Device::open("cpu", {1, false, DType::kFloat16}); }), ErrorCode::kUnsupported);
  }
}

TEST(InstructionSets, UnknownOnesAreRefused) {
  const ScopedEnvironment forced("DPM_CPU_ISA", "mmx");
  try {
    Device::open("cpu", {});
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_NE(std::string(error.what()).find("mmx"), std::string::npos);
  }
}

}  // namespace
}  // namespace dpm::test
