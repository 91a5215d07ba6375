#include "addon/convert/network_facts.h"

#include "addon/convert/objects.h"

namespace dpm::addon {

Napi::Object to_object(Napi::Env env, const GradientPlaces& gradients) {
  Napi::Array places = Napi::Array::New(env, gradients.all().size());
  for (std::uint32_t i = 0; i < gradients.all().size(); ++i) {
    const GradientPlace& place = gradients.all()[i];
    Napi::Object entry = Napi::Object::New(env);
    set_number(entry, "constant", place.constant);
    set_number(entry, "offset", place.offset);
    set_number(entry, "elements", place.elements);
    places.Set(i, entry);
  }
  Napi::Object object = Napi::Object::New(env);
  set_number(object, "elements", gradients.elements());
  object.Set("places", places);
  return object;
}

Napi::Object to_object(Napi::Env env, const NetworkInfo& info) {
  Napi::Object object = Napi::Object::New(env);
  set_number(object, "parameters", info.parameters);
  set_number(object, "multiplyAdds", info.multiply_adds);
  set_number(object, "nodes", info.nodes);
  set_number(object, "weightBytes", info.weight_bytes);
  set_number(object, "rowBytes", info.row_bytes);
  set_number(object, "planMilliseconds", 1e3 * info.load.plan);
  set_number(object, "readMilliseconds", 1e3 * info.load.read);
  set_number(object, "packMilliseconds", 1e3 * info.load.pack);
  return object;
}

}  // namespace dpm::addon
