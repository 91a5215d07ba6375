#include "addon/open_batch.h"

#include <algorithm>
#include <utility>

#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"

namespace dpm::addon {
namespace {

Napi::Value to_labels(Napi::Env env, const std::vector<std::int32_t>& labels) {
  if (labels.empty()) return env.Null();
  auto array = Napi::Int32Array::New(env, labels.size());
  std::copy(labels.begin(), labels.end(), array.Data());
  return array;
}

/// Calls the function that is asked, which throws nothing.
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

NetworkShape to_script_shape(const Napi::Object& options) {
  NetworkShape shape;
  shape.image = shape.out = to_uint32(options.Get("elements"), "elements");
  require(shape.image > 0, "a state has at least one element");
  shape.head = to_bool(options, "head") ? shape.image : 0;
  shape.classes = to_int(options, "classes");
  require(shape.classes >= 0, "classes is negative");
  return shape;
}

}  // namespace

BatchOpening::BatchOpening(const Napi::CallbackInfo& info, std::shared_ptr<Engine> engine,
                           std::shared_ptr<Network> network)
    : environment_(&Environment::of(info.Env())), engine_(std::move(engine)), network_(std::move(network)) {
  require(info[0].IsObject(), "the options must be an object");
  const auto options = info[0].As<Napi::Object>();
  options_.rows = to_uint32(options.Get("rows"), "rows");
  options_.slots = to_uint32(options.Get("slots"), "slots");
  options_.fit = to_bool(options, "fit");
  options_.whole = to_bool(options, "whole");
  options_.weight = to_double(options, "weight");
  options_.constrains = to_bool(options, "constrains");
  if (network_) {
    guides_ = to_bool(options, "guides");
  } else {
    script_shape_ = to_script_shape(options);
  }
  const bool asks = !network_ || guides_ || options_.constrains;
  if (!asks) return;
  const Napi::Value question = options.Get("onQuestion");
  require(question.IsFunction(), "onQuestion must be a function");
  opened_.on_question = std::make_shared<Napi::FunctionReference>(Napi::Persistent(question.As<Napi::Function>()));
}

std::unique_ptr<Evaluator> BatchOpening::make_evaluator() const {
  if (!network_) return std::make_unique<ScriptEvaluator>(engine_->device(), script_shape_);
  if (guides_) return std::make_unique<ScriptGuidedEvaluator>(network_);
  return std::make_unique<NetworkEvaluator>(network_);
}

void BatchOpening::open() {
  std::unique_ptr<Evaluator> evaluator = make_evaluator();
  if (opened_.on_question) {
    options_.question = [function = std::weak_ptr(opened_.on_question),
                         environment = environment_](const Question& question) {
      environment->post(std::make_unique<AskedFunction>(function, question));
    };
  }
  // Memory of evaluations may be reserved already, so it is counted by its size and not by what this call allocates.
  evaluator->reserve(options_.rows);
  opened_.bytes = network_ ? options_.rows * network_->info().row_bytes : 0;
  opened_.bytes += engine_->device()->bytes_taken_by(
      [&] { opened_.batch = std::make_shared<Batch>(std::move(evaluator), std::move(options_)); });
  engine_->add(opened_.batch);
}

}  // namespace dpm::addon
