#include "addon/environment.h"

#include <algorithm>

namespace dpm::addon {

Environment::Environment(Napi::Env env) {
  mailbox_ = Mailbox::New(env, "dpm-native", 0, 1, this);
  mailbox_.Unref(env);
  // Cleanup hooks run last in, first out, so this hook runs before the mailbox's own.
  env.AddCleanupHook([](Environment* self) { self->shut_down(); }, this);
}

void Environment::add_engine(const std::shared_ptr<Engine>& engine) {
  engines_.erase(std::remove_if(engines_.begin(), engines_.end(), [](const auto& known) { return known.expired(); }),
                 engines_.end());
  engines_.push_back(engine);
}

void Environment::post(std::unique_ptr<Delivery> delivery) {
  Delivery* handed_over = delivery.release();
  if (mailbox_.NonBlockingCall(handed_over) != napi_ok) delivery.reset(handed_over);
}

void Environment::work_begins(Napi::Env env) {
  if (in_flight_++ == 0) mailbox_.Ref(env);
}

void Environment::work_ends(Napi::Env env) {
  if (--in_flight_ == 0) mailbox_.Unref(env);
}

void Environment::call(Napi::Env env, Napi::Function /*function*/, Environment* /*self*/, Delivery* delivery) {
  const std::unique_ptr<Delivery> owned(delivery);
  if (static_cast<napi_env>(env) == nullptr) return;
  try {
    const Napi::HandleScope scope(env);
    owned->deliver(env);
  } catch (...) {
    // Deliveries handle their own errors; an error here means that the environment is shutting down.
    return;
  }
}

void Environment::shut_down() {
  for (const auto& known : engines_) {
    if (const auto engine = known.lock()) engine->join();
  }
  mailbox_.Abort();
}

}  // namespace dpm::addon
