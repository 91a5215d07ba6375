// Fuzz test of arbitrary records, programs and sample identities in the program runner: accepted requests must run
// within their memory, others must be refused by an Error.
#include "core/error.h"
#include "input.h"
#include "sampling/run.h"
#include "small_network.h"

namespace {

using dpm::test::Input;

dpm::RunRequest request_from(Input& input) {
  dpm::RunRequest request;
  request.batch = input.take<std::uint8_t>();
  request.snapshot_every = input.take<std::uint8_t>() % 4;
  const std::size_t programs = 1 + input.take<std::uint8_t>() % 3;
  const std::size_t samples = input.take<std::uint8_t>() % 4;
  const std::size_t records = input.take<std::uint8_t>() % 6;
  for (std::size_t i = 0; i < programs; ++i) request.programs.push_back(input.take<dpm::Program>());
  for (std::size_t i = 0; i < samples; ++i) request.samples.push_back(input.take<dpm::SampleIdentity>());
  const std::size_t state = samples * dpm::test::SmallNetwork::kElements;
  if (input.take<std::uint8_t>() % 2 == 1) request.init.resize(state, 0.5F);
  request.noise.resize(state * (input.take<std::uint8_t>() % 3), 0.25F);
  for (std::size_t i = 0; i < records; ++i) request.records.push_back(input.take<dpm_record>());
  return request;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static dpm::test::SmallNetwork small;
  static const std::unique_ptr<dpm::Network> network = small.load("cpu", 1);
  static const std::atomic<bool> stopping{false};
  Input input(data, size);
  try {
    const dpm::RunResult result = dpm::run_programs(*network, request_from(input), stopping);
    if (result.images.floats.empty()) __builtin_trap();
  } catch (const dpm::Error&) {
    return 0;
  }
  return 0;
}
