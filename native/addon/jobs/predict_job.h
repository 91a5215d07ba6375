// One prediction on device tensors, with guidance, asked for by JavaScript.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/jobs/promise_job.h"
#include "sampling/predict.h"

namespace dpm::addon {

/// Arguments: x, t, labels, guidance, unconditionalLabel, out, head.
class PredictJob : public PromiseJob {
 public:
  /// Throws Error(kArgument) naming the argument that does not fit the network.
  PredictJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Network> network);
  void run() override { predict(*network_, request_); }

 private:
  std::shared_ptr<Buffer> tensor(const Napi::Value& value, const char* what) const;
  void read_labels(const Napi::Value& labels);

  std::shared_ptr<Network> network_;
  PredictRequest request_;
};

}  // namespace dpm::addon
