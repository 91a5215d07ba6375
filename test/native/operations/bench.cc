#include "operations/bench.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iomanip>
#include <ostream>

#include "core/error.h"
#include "operations/operations.h"

namespace dpm::test {
namespace {

constexpr const char* kUsage = "dpm_operations --bench [--device cpu|reference|cuda:0] [--operation NAME] [--rounds N]";

struct Settings {
  std::string device = "cpu";
  std::string operation;
  int rounds = 20;
};

Settings settings_of(const std::vector<std::string>& arguments) {
  Settings settings;
  if (arguments.empty() || arguments[0] != "--bench" || arguments.size() % 2 == 0)
    throw Error(ErrorCode::kArgument, kUsage);
  for (std::size_t i = 1; i < arguments.size(); i += 2) {
    const std::string& value = arguments[i + 1];
    if (arguments[i] == "--device") {
      settings.device = value;
    } else if (arguments[i] == "--operation") {
      settings.operation = value;
    } else if (arguments[i] == "--rounds") {
      settings.rounds = std::max(1, static_cast<int>(std::strtol(value.c_str(), nullptr, 10)));
    } else {
      throw Error(ErrorCode::kArgument, kUsage);
    }
  }
  return settings;
}

/// The operations of the nodes of a case's graph, and the bytes that they would move without fusion, for its whole
/// batch.
struct Work {
  double operations = 0;
  double bytes = 0;
};

Work work_of(const Case& made) {
  Work work;
  const graph::Graph& graph = made.graph;
  const auto bytes_of = [&](int value) {
    return value < 0 ? 0.0 : 4.0 * static_cast<double>(graph.values[static_cast<std::size_t>(value)].elements());
  };
  for (const graph::Node& node : graph.nodes) {
    work.operations += 2.0 * static_cast<double>(graph::multiply_adds(graph, node));
    for (const int value : node.inputs) work.bytes += bytes_of(value);
    work.bytes += bytes_of(node.output());
  }
  return {work.operations * made.batch, work.bytes * made.batch};
}

/// Returns the median seconds of an evaluation, after two that fill caches and tables. Queued work is waited for.
double median_seconds(const std::shared_ptr<Device>& device, const Case& made, int rounds) {
  LoadedGraph loaded(device, made.graph, made.batch, true);
  loaded.bind(made.inputs, made.batch);
  std::vector<double> seconds;
  for (int round = -2; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    loaded.run();
    loaded.wait();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    if (round >= 0) seconds.push_back(taken.count());
  }
  std::ranges::nth_element(seconds, seconds.begin() + rounds / 2);
  return seconds[static_cast<std::size_t>(rounds / 2)];
}

void print(std::ostream& out, const std::string& name, double seconds, const Work& work) {
  out << std::left << std::setw(40) << name << std::right << std::fixed << std::setprecision(1) << std::setw(12)
      << seconds * 1e6 << " us";
  const bool multiplies = work.operations > work.bytes;
  out << std::setw(10) << (multiplies ? work.operations : work.bytes) / seconds / 1e9
      << (multiplies ? " GFLOP/s\n" : " GB/s\n") << std::flush;
}

}  // namespace

void bench(const std::vector<std::string>& arguments, std::ostream& out) {
  const Settings settings = settings_of(arguments);
  const auto device = Device::open(settings.device, {});
  out << device->description() << '\n';
  bool is_known = settings.operation.empty();
  for (const Operation& operation : operations()) {
    if (!settings.operation.empty() && settings.operation != operation.name) continue;
    is_known = true;
    for (const CaseFamily& family : operation.families) {
      for (int index = 0; family.is_for_speed && index < family.cases; ++index) {
        const Case made = make_case(family, index);
        if (!computes_gradients(*device, made.graph)) continue;
        const std::string name = std::string(operation.name) + " " + family.name + " " + std::to_string(index);
        print(out, name, median_seconds(device, made, settings.rounds), work_of(made));
      }
    }
  }
  if (!is_known) throw Error(ErrorCode::kArgument, "there is no operation " + settings.operation);
}

}  // namespace dpm::test
