#include "addon/convert/predict_inputs.h"

#include <cmath>

#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"
#include "addon/wraps/tensor_wrap.h"

namespace dpm::addon {
PredictInputs to_predict_inputs(const Napi::CallbackInfo& info, const Network& network) {
  PredictInputs request;
  request.times = to_floats(info[1], "t");
  const std::size_t count = request.times.size();
  require(count > 0 && count <= 65536, "t must have between 1 and 65536 elements");
  const auto tensor = [&](const Napi::Value& value, const char* what) {
    auto buffer = TensorWrap::buffer_of(value, what, network.device());
    require(buffer->bytes() >= count * network.shape().image * sizeof(float),
            "a tensor is smaller than batch x C x H x W");
    return buffer;
  };
  const int classes = network.shape().classes;
  request.x = tensor(info[0], "x");
  read_labels(info[2], count, classes, request.labels);
  request.guidance = to_floats(info[3], "guidance");
  require(request.guidance.empty() || request.guidance.size() == count, "guidance must have one element per sample");
  for (const float weight : request.guidance) require(std::isfinite(weight), "a weight of guidance is not finite");
  require(request.guidance.empty() || classes > 0, "guidance needs a class-conditional network");
  request.unconditional_label = info[4].ToNumber().Int32Value();
  require(request.unconditional_label < classes || request.unconditional_label < 0,
          "the unconditional label is out of range");
  request.out = tensor(info[5], "out");
  if (!is_absent(info[6])) request.head = tensor(info[6], "head");
  return request;
}

}  // namespace dpm::addon
