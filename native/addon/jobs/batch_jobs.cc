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

Napi::Value to_labels(Napi::Env env, const std::vector<std::int32_t>& labels) {
  if (labels.empty()) return env.Null();
  auto array = Napi::Int32Array::New(env, labels.size());
  std::copy(labels.begin(), labels.end(), array.Data());
  return array;
}

/// Asks the function, which throws nothing.
class AskedFunction : public Delivery {
 public:
  AskedFunction(std::weak_ptr<Napi::FunctionReference> function, Question question)
      : function_(std::move(function)), question_(std::move(question)) {}

  void deliver(Napi::Env env) override {
    const auto function = function_.lock();
    if (!function) return;
    constexpr const char* kAsked[] = {"prediction", "guide", "constraint"};
    Napi::Object object = Napi::Object::New(env);
    object.Set("asked", Napi::String::New(env, kAsked[static_cast<std::size_t>(question_.asked)]));
    object.Set("x", to_float_array(env, std::move(question_.states)));
    object.Set("times", to_float_array(env, std::move(question_.times)));
    object.Set("labels", to_labels(env, question_.labels));
    set_number(object, "sample", question_.sample);
    set_number(object, "record", question_.record);
    function->Call({object});
  }

 private:
  std::weak_ptr<Napi::FunctionReference> function_;
  Question question_;
};

class BatchJob : public WatchedJob {
 public:
  BatchJob(Napi::Env env, const Napi::Object& owner, std::shared_ptr<Engine> engine, const Napi::Object& options,
           bool asks, BatchRequest& request)
      : WatchedJob(env, owner, std::move(engine), options) {
    watch(request.run);
    if (asks) report_every_step();
    const Napi::Value image = options.Get("onImage");
    if (!image.IsFunction()) return;
    on_image_ = Napi::Persistent(image.As<Napi::Function>());
    request.image = [this](std::uint32_t sample, RunImages image) {
      post([this, sample, image = std::move(image)](Napi::Env env) mutable {
        on_image_.Call({Napi::Number::New(env, sample), to_array(env, std::move(image))});
      });
    };
  }

  /// The batch does the work.
  void run() override {}

  static void end(std::unique_ptr<BatchJob> job, BatchOutcome outcome) {
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
  BatchOutcome outcome_;
};

std::unique_ptr<BatchRequest> to_batch_request(const Napi::Object& object) {
  auto request = std::make_unique<BatchRequest>();
  const Napi::Value key_values = object.Get("keys");
  const Napi::Value data_predictions = object.Get("dataPredictions");
  request->priority = to_int(object, "priority");
  request->previews_rows = to_bool(object, "previewsRows");
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
  if (network_) {
    guides_ = to_bool(options, "guides");
    options_.constrains = to_bool(options, "constrains");
  } else {
    script_shape_.image = script_shape_.out = to_uint32(options.Get("elements"), "elements");
    require(script_shape_.image > 0, "a state has at least one element");
    script_shape_.head = to_bool(options, "head") ? script_shape_.image : 0;
    script_shape_.classes = to_int(options, "classes");
    require(script_shape_.classes >= 0, "classes is negative");
  }
  const Napi::Value question = options.Get("onQuestion");
  const bool asks = !network_ || guides_ || options_.constrains;
  require(question.IsFunction() || !asks, "onQuestion must be a function");
  if (asks)
    opened_.on_question = std::make_shared<Napi::FunctionReference>(Napi::Persistent(question.As<Napi::Function>()));
}

std::unique_ptr<Evaluator> OpenBatchJob::make_evaluator() {
  if (!network_) return std::make_unique<ScriptEvaluator>(engine_->device(), script_shape_);
  if (guides_) return std::make_unique<ScriptGuidedEvaluator>(network_);
  return std::make_unique<NetworkEvaluator>(network_);
}

void OpenBatchJob::run() {
  std::unique_ptr<Evaluator> evaluator = make_evaluator();
  if (opened_.on_question) {
    options_.question = [function = std::weak_ptr(opened_.on_question),
                         &environment = environment()](const Question& question) {
      environment.post(std::make_unique<AskedFunction>(function, question));
    };
  }
  // Others may have reserved the memory of evaluations already: it is counted by its size.
  evaluator->reserve(options_.rows);
  bytes_ = network_ ? options_.rows * network_->info().row_bytes : 0;
  bytes_ += engine_->device()->bytes_taken_by(
      [&] { opened_.batch = std::make_shared<Batch>(std::move(evaluator), std::move(options_)); });
  engine_->add(opened_.batch);
}

Napi::Value OpenBatchJob::result(Napi::Env env) { return BatchWrap::make(env, engine_, opened_, bytes_); }

Napi::Promise submit_to_batch(const Napi::CallbackInfo& info, const Napi::Object& owner,
                              const std::shared_ptr<Engine>& engine, const OpenedBatch& opened) {
  require(info[0].IsObject(), "the request must be an object");
  const auto options = info[0].As<Napi::Object>();
  auto request = to_batch_request(options);
  auto job = std::make_unique<BatchJob>(info.Env(), owner, engine, options, opened.on_question != nullptr, *request);
  opened.batch->check(*request);
  const Napi::Promise promise = job->promise(info.Env());
  Environment::of(info.Env()).work_begins(info.Env());
  // A std::function can be copied, what it holds here cannot.
  auto held = std::make_shared<std::unique_ptr<BatchJob>>(std::move(job));
  request->finished = [held](BatchOutcome outcome) { BatchJob::end(std::move(*held), std::move(outcome)); };
  opened.batch->submit(std::move(request));
  engine->wake();
  return promise;
}

AnswerBatchJob::AnswerBatchJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Batch> batch)
    : PromiseJob(info.Env(), owner),
      batch_(std::move(batch)),
      values_(to_floats(info[0], "the answer")),
      head_(to_floats(info[1], "head")) {}

AbandonBatchJob::AbandonBatchJob(const Napi::CallbackInfo& info, const Napi::Object& owner,
                                 std::shared_ptr<Batch> batch)
    : PromiseJob(info.Env(), owner), batch_(std::move(batch)), message_(info[0].ToString().Utf8Value()) {}

void AbandonBatchJob::run() {
  require(batch_->waits(), "nothing was asked");
  batch_->abandon_step(ErrorCode::kInternal, message_);
}

void CloseBatchJob::run() {
  engine_->remove(*batch_);
  batch_->end(ErrorCode::kClosed, "the batch was closed");
}

}  // namespace dpm::addon
