// Descriptions of networks with weights that may not fit them: what is accepted must load and run within its memory,
// what is refused must be refused by an Error.
#include "core/error.h"
#include "input.h"
#include "random_network.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const dpm::test::WeightFile file;
  static const auto device = dpm::Device::open("cpu", {1, false});
  dpm::test::Input input(data, size);
  const auto choose = [&](int n) { return input.take<std::uint8_t>() % n; };
  try {
    const dpm::test::RandomNetwork network(choose, file, true);
    if (network.run(device).empty()) __builtin_trap();
  } catch (const dpm::Error&) {
    return 0;
  }
  return 0;
}
