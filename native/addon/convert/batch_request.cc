#include "addon/convert/batch_request.h"

#include "addon/convert/objects.h"
#include "addon/convert/run_request.h"
#include "addon/convert/typed_arrays.h"

namespace dpm::addon {

std::unique_ptr<BatchRequest> to_batch_request(const Napi::Object& object) {
  auto request = std::make_unique<BatchRequest>();
  const Napi::Value key_values = object.Get("keys");
  const Napi::Value data_predictions = object.Get("dataPredictions");
  request->priority = to_int(object, "priority");
  request->most_queued_seconds = to_double(object, "mostQueued") / 1000;
  request->previews_rows = to_bool(object, "previewsRows");
  request->run = to_run_request(object);
  const auto keys = double_elements(key_values, "keys");
  request->keys.assign(keys.data, keys.data + keys.size);
  request->data_predictions = to_floats(data_predictions, "dataPredictions");
  return request;
}

}  // namespace dpm::addon
