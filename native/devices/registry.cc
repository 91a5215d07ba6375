#include "devices/registry.h"

#include <cstdlib>
#include <mutex>
#include <utility>

#include "core/error.h"
#include "devices/cpu/backend.h"
#include "devices/plugin.h"
#include "platform/library.h"

namespace dpm {
namespace {

constexpr const char* kCuda = "cuda";
constexpr int kMostCards = 64;

/// Returns the path of a plug-in that lies beside this library.
std::string beside(const std::string& name) {
  return platform::directory_of(reinterpret_cast<const void*>(&beside)) + "/libdpm_" + name + DPM_PLUGIN_SUFFIX;
}

struct CudaPlugins {
  std::mutex mutex;
  std::vector<std::string> paths;
};

CudaPlugins& cuda_plugins() {
  static CudaPlugins plugins{{}, {beside(kCuda), beside("cuda12")}};
  return plugins;
}

Plugin open_cuda() {
  const char* chosen = std::getenv("DPM_CUDA_PLUGIN");
  if (chosen != nullptr && *chosen != '\0') return open_for_driver({chosen});
  const char* driver = platform::cuda_driver();
  if (driver == nullptr) return {nullptr, "the CUDA device is for Linux", {}};
  if (platform::open_library(driver).handle == nullptr) {
    return {nullptr, "there is no NVIDIA driver (" + std::string(driver) + ")", {}};
  }
  CudaPlugins& plugins = cuda_plugins();
  const std::lock_guard lock(plugins.mutex);
  Plugin plugin = open_for_driver(plugins.paths);
  if (plugin.reason.starts_with("cannot open")) plugin.reason += " (npm install @dpm-native/cuda-linux-x64 brings it)";
  return plugin;
}

const Plugin& cpu_device() {
  static const Plugin plugin{&cpu::backend(), {}, {}};
  return plugin;
}

const Plugin& reference_device() {
  static const Plugin plugin = open_plugin(beside("reference"));
  return plugin;
}

const Plugin& cuda_device() {
  static const Plugin plugin = open_cuda();
  return plugin;
}

/// A kind of device. Its plug-in is opened when it is first asked for, because a GPU's plug-in starts the driver.
struct Kind {
  const char* name;
  const Plugin& (*device)();
  bool is_numbered = false;
};

constexpr Kind kKinds[] = {{"cpu", cpu_device}, {"reference", reference_device}, {kCuda, cuda_device, true}};

DeviceInfo describe(const Kind& kind, int index) {
  const Plugin& plugin = kind.device();
  DeviceInfo info;
  info.name = kind.is_numbered ? kind.name + (":" + std::to_string(index)) : kind.name;
  info.reason = plugin.reason;
  if (plugin.backend == nullptr) return info;
  dpm_message description{};
  dpm_message reason{};
  info.score = plugin.backend->device.probe(index, &description, &reason);
  info.usable = info.score > 0;
  info.description = description.text;
  if (info.usable && !plugin.passed_over.empty()) info.description += "; why this plug-in: " + plugin.passed_over;
  info.reason = reason.text;
  return info;
}

}  // namespace

void use_cuda_plugins(std::vector<std::string> paths) {
  if (paths.empty()) return;
  CudaPlugins& plugins = cuda_plugins();
  const std::lock_guard lock(plugins.mutex);
  plugins.paths = std::move(paths);
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices;
  for (const Kind& kind : kKinds) {
    devices.push_back(describe(kind, 0));
    for (int index = 1; kind.is_numbered && kind.device().backend != nullptr && index < kMostCards; ++index) {
      DeviceInfo next = describe(kind, index);
      // A GPU that cannot be used may come before one that can.
      if (next.score < 0) break;
      devices.push_back(std::move(next));
    }
  }
  return devices;
}

DeviceChoice find_device(const std::string& name) {
  const std::size_t colon = name.find(':');
  const std::string named = name.substr(0, colon);
  int index = 0;
  if (colon != std::string::npos) {
    const std::string digits = name.substr(colon + 1);
    if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos) {
      throw Error(ErrorCode::kDevice, "device " + name + " is not of the form name or name:number");
    }
    index = std::stoi(digits);
  }
  std::string known;
  for (const Kind& kind : kKinds) {
    known += (known.empty() ? "" : ", ") + std::string(kind.name);
    if (named != kind.name) continue;
    DeviceInfo info = describe(kind, index);
    if (!info.usable) throw Error(ErrorCode::kDevice, "device " + name + " cannot be used: " + info.reason);
    return {kind.device().backend, index, std::move(info.description)};
  }
  throw Error(ErrorCode::kDevice, "there is no device " + name + "; known devices: " + known);
}

}  // namespace dpm
