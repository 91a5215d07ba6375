// A case of the table of operations (operations.h): a graph around one operation with its inputs. Every case is run on
// every device for its values and its derivatives (operation_checks.h), and large ones for their speed (bench/main.cc).
//
// A new operation is a file beside this one, and its line in operations.h and in operations.cc:
//
//   Case random_shear(RandomValues& random, int index) {
//     GraphMaker maker(random);
//     const int x = maker.enter(maker.image(random.between(1, 40), 8, 5));
//     maker.leave(maker.add(DPM_OP_SHEAR, {x}, graph::Shear{index % 3}));
//     return image_case(maker, random, 2);
//   }
//
//   std::vector<CaseFamily> shear_cases() { return {{"Random", random_shear, 12}}; }
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {

struct Case {
  graph::Graph graph;
  int batch = 1;
  GraphInputs inputs;
  /// Messages by which `differentiate` and `linearise` refuse the graph; empty where it has that derivative.
  std::string no_pullback;
  std::string no_pushforward;
  /// Factor of the largest differences allowed for 16-bit types.
  double looseness = 1;
  /// Owner of the graph's weights.
  std::shared_ptr<RandomValues> random;
};

/// Cases that one function makes. Kinds of cases depend on the index, so that the first ones cover all kinds: slow
/// devices run no others.
struct CaseFamily {
  const char* name;
  Case (*make)(RandomValues& random, int index);
  int cases = 1;
  /// Tells whether the case is as large as in networks: it is timed, and its values are not compared.
  bool is_for_speed = false;
};

/// Returns case `index` of a family, which is always the same.
Case make_case(const CaseFamily& family, int index);

/// Makes `batch` images for the graph of `maker`, whose first value is the image. Times and labels, where it takes
/// them, differ between samples; a label may be -1 (no label).
Case image_case(GraphMaker& maker, RandomValues& random, int batch, float scale = 1, float shift = 0);

/// Returns the case, marked so that its first node of `op` has no derivative for this reason.
Case without_pullback(Case made, dpm_op op, const std::string& reason);
Case without_pushforward(Case made, dpm_op op, const std::string& reason);
/// Marks both derivatives as missing, for an operation that only derivatives use.
Case without_derivatives(Case made, dpm_op op);

}  // namespace dpm::test
