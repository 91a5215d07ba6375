#include "addon/jobs/script_jobs.h"

#include <utility>

#include "addon/convert/objects.h"
#include "addon/convert/run_request.h"
#include "addon/convert/typed_arrays.h"
#include "addon/wraps/script_run_wrap.h"

namespace dpm::addon {

BeginScriptJob::BeginScriptJob(const Napi::CallbackInfo& info, const Napi::Object& owner,
                               std::shared_ptr<Engine> engine)
    : PromiseJob(info.Env(), owner), engine_(std::move(engine)) {
  require(info[0].IsObject(), "the request must be an object");
  request_ = to_run_request(info[0].As<Napi::Object>());
  shape_.image = to_uint32(info[1], "elements");
  require(shape_.image > 0, "a state has at least one element");
  shape_.out = shape_.image;
  shape_.head = info[2].ToBoolean().Value() ? shape_.image : 0;
}

void BeginScriptJob::run() { run_ = std::make_shared<ScriptRun>(engine_->device(), shape_, std::move(request_)); }

Napi::Value BeginScriptJob::result(Napi::Env env) { return ScriptRunWrap::make(env, engine_, std::move(run_)); }

Napi::Value AskJob::result(Napi::Env env) {
  if (!asked_) return env.Null();
  Napi::Object question = Napi::Object::New(env);
  question.Set("x", to_float_array(env, std::vector<float>(run_->states())));
  question.Set("times", to_float_array(env, std::vector<float>(run_->times())));
  return question;
}

AnswerJob::AnswerJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<ScriptRun> run)
    : PromiseJob(info.Env(), owner),
      run_(std::move(run)),
      out_(to_floats(info[0], "out")),
      head_(to_floats(info[1], "head")),
      guide_(to_floats(info[2], "guide")) {}

Napi::Value StatesJob::result(Napi::Env env) { return to_float_array(env, std::move(states_)); }

ReplaceJob::ReplaceJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<ScriptRun> run)
    : PromiseJob(info.Env(), owner), run_(std::move(run)), states_(to_floats(info[0], "states")) {}

}  // namespace dpm::addon
