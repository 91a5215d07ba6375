#include "addon/convert/run_result.h"

#include <utility>

#include "addon/convert/typed_arrays.h"

namespace dpm::addon {

Napi::Value to_array(Napi::Env env, RunImages&& images) {
  if (images.floats.empty()) return to_level_array(env, std::move(images.levels));
  return to_float_array(env, std::move(images.floats));
}

Napi::Object to_object(Napi::Env env, RunResult&& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("images", to_array(env, std::move(result.images)));
  Napi::Array snapshots = Napi::Array::New(env, result.snapshots.size());
  for (std::uint32_t i = 0; i < result.snapshots.size(); ++i) {
    Napi::Object snapshot = Napi::Object::New(env);
    snapshot.Set("record", Napi::Number::New(env, result.snapshots[i].record));
    snapshot.Set("images", to_array(env, std::move(result.snapshots[i].images)));
    snapshots.Set(i, snapshot);
  }
  object.Set("snapshots", snapshots);
  return object;
}

}  // namespace dpm::addon
