// Fuzz test of graphs of operations that may be invalid: accepted graphs must load and run within their memory, others
// must be refused by an Error.
#include "core/error.h"
#include "input.h"
#include "random_graph.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto device = dpm::Device::open("cpu", {1, false});
  dpm::test::Input input(data, size);
  const auto choose = [&](int n) { return input.take<std::uint8_t>() % n; };
  try {
    const dpm::test::RandomGraph graph(choose, dpm::test::RandomGraph::kHostile);
    if (graph.run(device).empty()) __builtin_trap();
  } catch (const dpm::Error&) {
    return 0;
  }
  return 0;
}
