#include "devices/registry.h"

#include <dlfcn.h>

#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "backend/table.h"
#include "core/error.h"
#include "devices/cpu/backend.h"

namespace dpm {
namespace {

// The only kind of which there can be several.
constexpr const char* kCuda = "cuda";
constexpr int kMostCards = 64;

/// A plug-in that was looked for.
struct Entry {
  std::string name;
  const dpm_backend* backend = nullptr;
  std::string reason;
};

std::string own_directory() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&own_directory), &info) == 0 || info.dli_fname == nullptr) return ".";
  const std::string path = info.dli_fname;
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

/// Opens a plug-in and checks its version before anything else of it is read.
Entry open_plugin(const std::string& name, const std::string& path) {
  Entry entry{name, nullptr, {}};
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    entry.reason = "cannot open plug-in " + path + ": " + (why != nullptr ? why : "unknown reason");
    return entry;
  }
  const auto function = reinterpret_cast<dpm_backend_entry_function>(dlsym(library, DPM_BACKEND_ENTRY));
  const dpm_backend* backend = function != nullptr ? function() : nullptr;
  if (backend == nullptr) {
    entry.reason = path + " has no " DPM_BACKEND_ENTRY;
    return entry;
  }
  const std::string mismatch = mismatch_of(*backend);
  if (mismatch.empty()) {
    entry.backend = backend;
  } else {
    entry.reason = path + " " + mismatch;
  }
  return entry;
}

std::string beside(const std::string& name) { return own_directory() + "/libdpm_" + name + ".so"; }

Entry open_cuda() {
  const char* chosen = std::getenv("DPM_CUDA_PLUGIN");
  if (chosen != nullptr && *chosen != '\0') return open_plugin(kCuda, chosen);
  if (dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) == nullptr) {
    return {kCuda, nullptr, "there is no NVIDIA driver (libcuda.so.1)"};
  }
  return open_plugin(kCuda, beside(kCuda));
}

const Entry& cpu_entry() {
  static const Entry entry{"cpu", &cpu::backend(), {}};
  return entry;
}

const Entry& reference_entry() {
  static const Entry entry = open_plugin("reference", beside("reference"));
  return entry;
}

const Entry& cuda_entry() {
  static const Entry entry = open_cuda();
  return entry;
}

/// A kind of device. It is opened when it is first asked for: a card's plug-in starts the driver.
struct Kind {
  const char* name;
  const Entry& (*entry)();
};

constexpr Kind kKinds[] = {{"cpu", cpu_entry}, {"reference", reference_entry}, {kCuda, cuda_entry}};

DeviceInfo describe(const Entry& entry, int index) {
  DeviceInfo info;
  info.name = entry.name == kCuda ? entry.name + ":" + std::to_string(index) : entry.name;
  info.reason = entry.reason;
  if (entry.backend == nullptr) return info;
  dpm_message description{};
  dpm_message reason{};
  info.score = entry.backend->probe(index, &description, &reason);
  info.usable = info.score > 0;
  info.description = description.text;
  info.reason = reason.text;
  return info;
}

}  // namespace

std::string mismatch_of(const dpm_backend& backend) {
  const auto differs = [](const std::string& what, std::uint32_t found, std::size_t expected) {
    return "has " + what + " " + std::to_string(found) + ", expected " + std::to_string(expected);
  };
  if (backend.abi_version != DPM_BACKEND_ABI) {
    return differs("interface version", backend.abi_version, DPM_BACKEND_ABI);
  }
  if (backend.struct_size != sizeof(dpm_backend)) {
    return differs("a dpm_backend of size", backend.struct_size, sizeof(dpm_backend));
  }
  if (backend.layout_size != sizeof(dpm_layout)) {
    return differs("a dpm_layout of size", backend.layout_size, sizeof(dpm_layout));
  }
  constexpr dpm_layout kOwn = own_layout();
  for (const LayoutEntry& entry : kLayoutEntries) {
    const std::uint32_t found = backend.layout.*entry.size;
    if (found != kOwn.*entry.size) return differs(std::string("a ") + entry.name + " of size", found, kOwn.*entry.size);
  }
  return {};
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices;
  for (const Kind& kind : kKinds) {
    const Entry& entry = kind.entry();
    devices.push_back(describe(entry, 0));
    for (int index = 1; entry.name == kCuda && entry.backend != nullptr && index < kMostCards; ++index) {
      DeviceInfo next = describe(entry, index);
      // A card that cannot be used may stand before one that can.
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
    const Entry& entry = kind.entry();
    const DeviceInfo info = describe(entry, index);
    if (!info.usable) throw Error(ErrorCode::kDevice, "device " + name + " cannot be used: " + info.reason);
    return {entry.backend, index};
  }
  throw Error(ErrorCode::kDevice, "there is no device " + name + "; known devices: " + known);
}

}  // namespace dpm
