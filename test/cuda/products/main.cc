// A program that times every way in which a library can compute the products of networks, and our own kernels. It
// prints one object of JSON per line, as soon as it is known (bench/gpu/products.mjs), and stores the results in the
// cache of plans.
//
//   dpm_time_products SHAPES.tsv [options]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "core/error.h"
#include "cuda/runtime/check.h"
#include "time_products.h"
#include "timing_options.h"

namespace dpm::cuda {
namespace {

constexpr std::size_t kMostAtOnce = 16;

cudaDeviceProp first_card() {
  int cards = 0;
  const cudaError_t error = cudaGetDeviceCount(&cards);
  if (error != cudaSuccess || cards == 0) {
    throw Error(ErrorCode::kDevice, std::string("no CUDA device (") + cudaGetErrorString(error) + ")");
  }
  check_cuda(cudaSetDevice(0), "choosing the card");
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, 0), "describing the card");
  return properties;
}

/// Makes products as a device of the plug-in does.
std::unique_ptr<Products> products_for(const Stream& stream, const Stream& side, const cudaDeviceProp& card,
                                       std::string* description) {
  ProductsOptions options;
  options.card = card.name;
  options.capability = 10 * card.major + card.minor;
  options.autotune = true;
  options.anew = true;
  options.workspace_limit =
      static_cast<std::int64_t>(std::min<std::size_t>(std::size_t{1} << 30, card.totalGlobalMem / 16));
  options.switches = read_switches();
  return make_products(stream, side, options, description);
}

void time_all(const TimingOptions& options) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const auto is_late = [&] { return std::chrono::duration<double>(Clock::now() - start).count() >= options.seconds; };
  const std::vector<Problem> problems = list_problems(options);
  const cudaDeviceProp card = first_card();
  const Stream stream;
  const Stream side;
  std::string description;
  const std::unique_ptr<Products> products = products_for(stream, side, card, &description);
  std::fprintf(stderr, "%s; %s\n", card.name, description.c_str());
  const auto print = [](const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
  };
  const std::size_t threads = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMostAtOnce);
  const TimingSummary done = time_products({stream, products.get(), is_late, print, threads}, problems);
  std::fprintf(stderr, "did %zu of %zu problems; %zu kernels are wrong, %zu could not be tried\n", done.done,
               problems.size(), done.wrong, done.failed);
}

}  // namespace
}  // namespace dpm::cuda

int main(int count, char** arguments) {
  dpm::cuda::TimingOptions options;
  try {
    options = dpm::cuda::parse_timing_options(std::span(arguments, static_cast<std::size_t>(count)).subspan(1));
  } catch (const dpm::Error& error) {
    std::fprintf(stderr, "%s\n%s", error.what(), dpm::cuda::kTimingUsage);
    return 2;
  }
  try {
    dpm::cuda::time_all(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
