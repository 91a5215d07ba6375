// Work on device tensors asked for by JavaScript: fused update, reduction, transfers.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "addon/jobs/promise_job.h"
#include "engine/device.h"

namespace dpm::addon {

/// Arguments: batch, elements, records, registers, streams.
class UpdateJob : public PromiseJob {
 public:
  UpdateJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Device> device);
  void run() override { device_->update(update_); }

 private:
  dpm_view view_of(const Napi::Object& registers, const char* key);
  dpm_view view_of(const Napi::Value& value, const char* what);

  std::shared_ptr<Device> device_;
  std::vector<dpm_record> records_;
  std::vector<dpm_update_sample> samples_;
  std::vector<std::shared_ptr<Buffer>> tensors_;
  dpm_update update_{};
};

/// Arguments: kind, batch, elements, a, b.
class ReduceJob : public PromiseJob {
 public:
  ReduceJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Device> device);
  void run() override;

 protected:
  Napi::Value result(Napi::Env env) override;

 private:
  std::shared_ptr<Device> device_;
  std::shared_ptr<Buffer> a_;
  std::shared_ptr<Buffer> b_;
  dpm_reduce request_{};
  std::vector<double> results_;
};

/// Arguments: tensor, array.
class ReadJob : public PromiseJob {
 public:
  ReadJob(const Napi::CallbackInfo& info, const Napi::Object& owner, const Device& device);
  void run() override;

 protected:
  Napi::Value result(Napi::Env env) override;

 private:
  std::shared_ptr<Buffer> tensor_;
  Napi::Reference<Napi::Float32Array> array_;
  std::vector<float> staging_;
};

}  // namespace dpm::addon
