// Random graphs around one kernel, and how the CPU device's results are compared.
#pragma once

#include <string>

#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {

struct Case {
  graph::Graph graph;
  int batch = 1;
  GraphInputs inputs;
};

using MakeCase = Case (*)(RandomValues& random, int index);

/// Cases of one kernel.
struct Family {
  const char* name;
  MakeCase make;
  int cases;
  bool fused = false;
};

/// `batch` images for the graph of `maker`, whose first value is the image.
Case image_case(GraphMaker& maker, RandomValues& random, int batch, float shift = 0);

bool has_bf16(const std::string& isa);

/// Every case, on every instruction set of this processor and every dtype, against the reference device.
void compare_with_reference(const Family& family);

/// A sample's result is equal to the bit whatever the batch and the number of threads.
void expect_independence(MakeCase make);

// Of convolutions, for tests of their own.
Case random_convolution(RandomValues& random, int index);
Case random_winograd(RandomValues& random, int index);
Case random_chain(RandomValues& random, int index);

}  // namespace dpm::test
