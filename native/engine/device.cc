#include "engine/device.h"

#include "backend/guard.h"
#include "devices/registry.h"
#include "engine/update_check.h"

namespace dpm {

Buffer::Buffer(std::shared_ptr<Device> device, std::uint64_t bytes) : device_(std::move(device)), bytes_(bytes) {
  dpm_message message{};
  check(device_->api().state.allocate(device_->get(), bytes, &buffer_, &message), message);
}

Buffer::~Buffer() { device_->api().state.release(device_->get(), buffer_); }

void Buffer::upload(std::uint64_t offset, const void* data, std::uint64_t bytes) {
  dpm_message message{};
  check(device_->api().state.upload(device_->get(), buffer_, offset, data, bytes, &message), message);
}

void Buffer::clear(std::uint64_t offset, std::uint64_t bytes) {
  dpm_message message{};
  check(device_->api().state.clear(device_->get(), buffer_, offset, bytes, &message), message);
}

void Buffer::download(std::uint64_t offset, void* data, std::uint64_t bytes) const {
  dpm_message message{};
  check(device_->api().state.download(device_->get(), buffer_, offset, data, bytes, &message), message);
}

void Buffer::download_levels(std::uint64_t offset, std::uint8_t* levels, std::uint64_t elements) const {
  dpm_message message{};
  check(device_->api().state.download_levels(device_->get(), buffer_, offset, levels, elements, &message), message);
}

Transfer::Transfer(std::shared_ptr<Device> device, const Buffer& buffer, std::uint64_t offset, std::uint64_t elements,
                   bool as_levels)
    : device_(std::move(device)) {
  dpm_message message{};
  check(device_->api().transfers.begin(device_->get(), buffer.get(), offset, elements, as_levels ? 1 : 0, &transfer_,
                                       &message),
        message);
}

Transfer::~Transfer() { device_->api().transfers.end(device_->get(), transfer_); }

const void* Transfer::values() const {
  const void* values = nullptr;
  dpm_message message{};
  check(device_->api().transfers.finish(device_->get(), transfer_, &values, &message), message);
  return values;
}

std::shared_ptr<Device> Device::open(const std::string& name, const DeviceOptions& options) {
  DeviceChoice choice = find_device(name);
  const std::shared_ptr<Device> device(new Device);
  device->api_ = choice.backend;
  device->name_ = name;
  device->description_ = std::move(choice.description);
  dpm_message message{};
  const dpm_open_options request{sizeof(dpm_open_options),
                                 choice.index,
                                 options.threads,
                                 options.exact ? 1 : 0,
                                 static_cast<std::uint32_t>(options.dtype),
                                 options.tf32 ? 1 : 0,
                                 options.autotune ? 1 : 0};
  check(choice.backend->device.open(&request, &device->device_, &message), message);
  return device;
}

Device::~Device() {
  if (device_ != nullptr) api_->device.close(device_);
}

std::shared_ptr<Buffer> Device::allocate(std::uint64_t bytes) {
  return std::make_shared<Buffer>(shared_from_this(), bytes);
}

dpm_memory Device::memory() const {
  dpm_memory result{};
  api_->device.memory(device_, &result);
  return result;
}

void Device::trim() {
  if (api_->device.trim == nullptr) return;
  dpm_message message{};
  check(api_->device.trim(device_, &message), message);
}

std::uint64_t Device::used() const {
  const dpm_memory now = memory();
  return now.host + now.device;
}

void Device::wait_for(const dpm_view& view) {
  float first = 0;
  dpm_message message{};
  check(api_->state.download(device_, view.buffer, view.offset * sizeof first, &first, sizeof first, &message),
        message);
}

std::optional<dpm_statistics> Device::statistics() const {
  if (api_->device.statistics == nullptr) return std::nullopt;
  dpm_statistics result{};
  api_->device.statistics(device_, &result);
  return result;
}

void Device::gather(const dpm_gather& request) {
  dpm_message message{};
  check(api_->state.gather(device_, &request, &message), message);
}

void Device::update(const dpm_update& request) {
  check_update(request);
  dpm_message message{};
  check(api_->state.update(device_, &request, &message), message);
}

void Device::reduce(const dpm_reduce& request) {
  check_reduce(request);
  dpm_message message{};
  check(api_->state.reduce(device_, &request, &message), message);
}

void Device::optimize(const dpm_optimize& request) {
  if (api_->state.optimize == nullptr) {
    throw Error(ErrorCode::kUnsupported, "the " + name() + " device does not train: it has no optimiser");
  }
  dpm_message message{};
  check(api_->state.optimize(device_, &request, &message), message);
}

}  // namespace dpm
