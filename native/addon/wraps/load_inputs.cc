#include "addon/wraps/load_inputs.h"

#include "addon/convert/graph.h"
#include "addon/convert/objects.h"
#include "addon/wraps/cancel_token.h"
#include "addon/wraps/network_wrap.h"
#include "core/error.h"

namespace dpm::addon {

LoadInputs::LoadInputs(const Napi::CallbackInfo& info, const std::shared_ptr<Engine>& owner)
    : engine(owner), is_cancelled(CancelToken::flag_of(info[2], owner)) {
  require(info[0].IsObject() && info[1].IsObject(), "a graph and options are needed");
  const auto options = info[1].As<Napi::Object>();
  open = to_graph_network(info[0].As<Napi::Object>(), options);
  known = has_value(options, "weightsOf") ? NetworkWrap::known_weights_of(options.Get("weightsOf"), "weightsOf")
                                          : std::make_shared<KnownWeights>();
}

OpenedNetwork LoadInputs::opened() const {
  const auto check_wanted = [this] {
    if (cancelled()) throw Error(ErrorCode::kAborted, "loading was aborted");
    if (engine->stopping()) throw Error(ErrorCode::kClosed, "the engine was closed");
  };
  return open(check_wanted, known);
}

}  // namespace dpm::addon
