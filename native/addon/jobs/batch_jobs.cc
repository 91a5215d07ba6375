#include "addon/jobs/batch_jobs.h"

#include <algorithm>
#include <utility>

#include "addon/convert/objects.h"
#include "addon/convert/run_request.h"
#include "addon/convert/typed_arrays.h"
#include "addon/jobs/watched_job.h"
#include "addon/wraps/batch_wrap.h"

namespace dpm::addon {
namespace {

/// Asks the script for predictions; its function throws nothing.
class Question : public Delivery {
 public:
  Question(std::weak_ptr<Napi::FunctionReference> function, const ScriptEvaluator& asked)
      : function_(std::move(function)), states_(asked.states()), times_(asked.times()), labels_(asked.labels()) {}

  void deliver(Napi::Env env) override {
    const auto function = function_.lock();
    if (!function) return;
    Napi::Value labels = env.Null();
    if (!labels_.empty()) {
      auto array = Napi::Int32Array::New(env, labels_.size());
      std::copy(labels_.begin(), labels_.end(), array.Data());
      labels = array;
    }
    function->Call({to_float_array(env, std::move(states_)), to_float_array(env, std::move(times_)), labels});
  }

 private:
  std::weak_ptr<Napi::FunctionReference> function_;
  std::vector<float> states_;
  std::vector<float> times_;
  std::vector<std::int32_t> labels_;
};

class BatchJob : public WatchedJob {
 public:
  BatchJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, const Napi::Object& options,
           LaneRequest& request)
      : WatchedJob(env, owner, std::move(engine), options) {
    watch(request.run);
    const Napi::Value image = options.Get("onImage");
    if (!image.IsFunction()) return;
    on_image_ = Napi::Persistent(image.As<Napi::Function>());
    request.image = [this](std::uint32_t sample, RunImages image) {
      post([this, sample, image = std::move(image)](Napi::Env env) mutable {
        on_image_.Call({Napi::Number::New(env, sample), to_array(env, std::move(image))});
      });
    };
  }

  /// The lane does the work.
  void run() override {}

  static void end(std::unique_ptr<BatchJob> job, LaneOutcome outcome) {
    job->error = outcome.code;
    job->message = std::move(outcome.message);
    job->outcome_ = std::move(outcome);
    BatchJob& reference = *job;
    reference.finished(std::move(job));
  }

 protected:
  Napi::Value result(Napi::Env env) override {
    Napi::Object object = to_object(env, std::move(outcome_.result));
    set_number(object, "queued", 1e3 * outcome_.queued_seconds);
    set_number(object, "ran", 1e3 * outcome_.run_seconds);
    return object;
  }

 private:
  Napi::FunctionReference on_image_;
  LaneOutcome outcome_;
};

std::unique_ptr<LaneRequest> to_lane_request(const Napi::Object& object) {
  auto request = std::make_unique<LaneRequest>();
  const Napi::Value key_values = object.Get("keys");
  const Napi::Value data_predictions = object.Get("dataPredictions");
  request->priority = to_int(object, "priority");
  request->run = to_run_request(object);
  const auto keys = double_elements(key_values, "keys");
  request->keys.assign(keys.data, keys.data + keys.size);
  request->data_predictions = to_floats(data_predictions, "dataPredictions");
  return request;
}

}  // namespace

OpenBatchJob::OpenBatchJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Engine> engine,
                           std::shared_ptr<Network> network)
    : PromiseJob(info.Env(), owner), engine_(std::move(engine)), network_(std::move(network)) {
  require(info[0].IsObject(), "the options must be an object");
  const auto options = info[0].As<Napi::Object>();
  options_.rows = to_uint32(options.Get("rows"), "rows");
  options_.slots = to_uint32(options.Get("slots"), "slots");
  options_.fit = to_bool(options, "fit");
  options_.whole = to_bool(options, "whole");
  options_.weight = to_double(options, "weight");
  if (network_) return;
  script_shape_.image = script_shape_.out = to_uint32(options.Get("elements"), "elements");
  require(script_shape_.image > 0, "a state has at least one element");
  script_shape_.head = to_bool(options, "head") ? script_shape_.image : 0;
  script_shape_.classes = to_int(options, "classes");
  require(script_shape_.classes >= 0, "classes is negative");
  const Napi::Value question = options.Get("onQuestion");
  require(question.IsFunction(), "onQuestion must be a function");
  opened_.on_question = std::make_shared<Napi::FunctionReference>(Napi::Persistent(question.As<Napi::Function>()));
}

std::unique_ptr<Evaluator> OpenBatchJob::make_evaluator() {
  if (network_) return std::make_unique<SharedNetworkEvaluator>(network_);
  auto script = std::make_unique<ScriptEvaluator>(engine_->device(), script_shape_);
  opened_.script = script.get();
  const std::weak_ptr<Napi::FunctionReference> function = opened_.on_question;
  options_.question = [function, asked = script.get(), &environment = environment()] {
    environment.post(std::make_unique<Question>(function, *asked));
  };
  return script;
}

void OpenBatchJob::run() {
  std::unique_ptr<Evaluator> evaluator = make_evaluator();
  // Others may have reserved the memory of evaluations already: it is counted by its size.
  evaluator->reserve(options_.rows);
  bytes_ = network_ ? options_.rows * network_->info().row_bytes : 0;
  bytes_ += engine_->device()->bytes_taken_by(
      [&] { opened_.lane = std::make_shared<Lane>(std::move(evaluator), std::move(options_)); });
  engine_->add(opened_.lane);
}

Napi::Value OpenBatchJob::result(Napi::Env env) { return BatchWrap::make(env, engine_, opened_, bytes_); }

Napi::Promise submit_to_batch(const Napi::CallbackInfo& info, const Napi::Object& owner,
                              const std::shared_ptr<Engine>& engine, const std::shared_ptr<Lane>& lane) {
  require(info[0].IsObject(), "the request must be an object");
  const auto options = info[0].As<Napi::Object>();
  auto request = to_lane_request(options);
  auto job = std::make_unique<BatchJob>(info.Env(), owner, engine, options, *request);
  lane->check(*request);
  const Napi::Promise promise = job->promise(info.Env());
  Environment::of(info.Env()).work_begins(info.Env());
  // A std::function can be copied, what it holds here cannot.
  auto held = std::make_shared<std::unique_ptr<BatchJob>>(std::move(job));
  request->finished = [held](LaneOutcome outcome) { BatchJob::end(std::move(*held), std::move(outcome)); };
  lane->submit(std::move(request));
  engine->wake();
  return promise;
}

AnswerBatchJob::AnswerBatchJob(const Napi::CallbackInfo& info, const Napi::Object& owner, OpenedBatch batch)
    : PromiseJob(info.Env(), owner),
      batch_(std::move(batch)),
      out_(to_floats(info[0], "out")),
      head_(to_floats(info[1], "head")) {
  require(batch_.script != nullptr, "a network predicts for this batch");
}

void AnswerBatchJob::run() {
  require(batch_.lane->waits(), "no prediction is waited for");
  batch_.script->answer(out_, head_);
  batch_.lane->end_step();
}

AbandonBatchJob::AbandonBatchJob(const Napi::CallbackInfo& info, const Napi::Object& owner, OpenedBatch batch)
    : PromiseJob(info.Env(), owner), batch_(std::move(batch)), message_(info[0].ToString().Utf8Value()) {
  require(batch_.script != nullptr, "a network predicts for this batch");
}

void AbandonBatchJob::run() {
  require(batch_.lane->waits(), "no prediction is waited for");
  batch_.script->give_up();
  batch_.lane->abandon_step(ErrorCode::kInternal, message_);
}

void CloseBatchJob::run() {
  engine_->remove(*lane_);
  lane_->end(ErrorCode::kClosed, "the batch was closed");
}

}  // namespace dpm::addon
