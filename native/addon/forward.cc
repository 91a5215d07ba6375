#include "addon/forward.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"
#include "addon/wraps/tensor_wrap.h"

namespace dpm::addon {
namespace {

[[noreturn]] void misfit(const char* what) {
  throw Error(ErrorCode::kArgument, std::string(what) + " has not as many elements as its batch");
}

}  // namespace

std::unique_ptr<ForwardStaging> ForwardMemory::take() {
  if (free_.empty()) return std::make_unique<ForwardStaging>();
  auto staging = std::move(free_.back());
  free_.pop_back();
  return staging;
}

void ForwardMemory::give_back(std::unique_ptr<ForwardStaging> staging) { free_.push_back(std::move(staging)); }

Forward::Forward(const Napi::CallbackInfo& info, std::shared_ptr<Network> network,
                 std::shared_ptr<ForwardMemory> memory)
    : network_(std::move(network)),
      memory_(std::move(memory)),
      staging_(memory_->take()),
      batch_(to_uint32(info[0], "batch")) {
  const NetworkShape& shape = network_->shape();
  require(batch_ > 0 && batch_ <= 65536, "batch must be between 1 and 65536");
  read_argument(0, info[1], "x", &Evaluation::image, shape.image);
  read_conditions(info);
  read_result(1, info[4], "out", &Evaluation::out, shape.out);
  require(is_absent(info[5]) || shape.head > 0, "the network has no second output");
  if (!is_absent(info[5])) read_result(2, info[5], "head", &Evaluation::head, shape.head);
  if (network_->derivative() == Derivative::kNone) {
    read_given(info[6]);
    return;
  }
  require(info[6].IsObject(), "a network with a derivative takes its tensors");
  read_derivative(info[6].As<Napi::Object>());
}

Forward::~Forward() { memory_->give_back(std::move(staging_)); }

void Forward::read_conditions(const Napi::CallbackInfo& info) {
  const auto times = float_elements(info[2], "t");
  require(times.size == batch_, "t must have one element per sample");
  staging_->times.assign(times.data, times.data + times.size);
  read_labels(info[3], batch_, network_->shape().classes, staging_->labels);
}

void Forward::read_derivative(const Napi::Object& tensors) {
  const NetworkShape& shape = network_->shape();
  if (network_->derivative() == Derivative::kLabelScore) {
    read_result(5, tensors.Get("imageCotangent"), "imageCotangent", &Evaluation::image_cotangent, shape.image);
    return;
  }
  if (network_->derivative() == Derivative::kPullback || network_->derivative() == Derivative::kWeights) {
    return read_cotangents(tensors);
  }
  read_argument(3, tensors.Get("imageTangent"), "imageTangent", &Evaluation::image_tangent, shape.image);
  read_result(4, tensors.Get("outTangent"), "outTangent", &Evaluation::out_tangent, shape.out);
  if (shape.head > 0) {
    read_result(5, tensors.Get("headTangent"), "headTangent", &Evaluation::head_tangent, shape.head);
  }
}

void Forward::read_given(const Napi::Value& tensors) {
  struct Given {
    const char* what;
    dpm_view Evaluation::* place;
    std::uint64_t stride;
  };
  const NetworkShape& shape = network_->shape();
  std::size_t slot = 7;
  read_groups(tensors.IsObject() ? tensors.As<Napi::Object>().Get("groups") : tensors.Env().Undefined());
  for (const Given& given :
       {Given{"context", &Evaluation::context, shape.context}, Given{"added", &Evaluation::added, shape.added},
        Given{"guidance", &Evaluation::guidance, shape.guidance}}) {
    if (given.stride == 0) continue;
    require(tensors.IsObject(), "a network that sees more than x takes its tensors");
    const Napi::Value value = tensors.As<Napi::Object>().Get(given.what);
    if (given.place == &Evaluation::context && !staging_->groups.empty()) {
      read_shared_contexts(slot++, value);
    } else {
      read_argument(slot++, value, given.what, given.place, given.stride);
    }
  }
}

void Forward::read_groups(const Napi::Value& value) {
  staging_->groups.clear();
  if (is_absent(value)) return;
  require(network_->shape().shares_context, "samples of this network share no context");
  const auto groups = uint32_elements(value, "groups");
  require(groups.size == batch_, "groups must have one element per sample");
  staging_->groups.assign(groups.data, groups.data + groups.size);
}

void Forward::read_shared_contexts(std::size_t slot, const Napi::Value& value) {
  const std::uint64_t stride = network_->shape().context;
  const std::uint64_t contexts = std::uint64_t{1} + *std::max_element(staging_->groups.begin(), staging_->groups.end());
  tensors_[slot] = {"context", &Evaluation::context, stride, contexts * stride, false, nullptr, {}};
  if (!read_tensor(slot, value)) return;
  const auto elements = float_elements(value, "context");
  require(elements.size % stride == 0 && elements.size >= contexts * stride,
          "a sample has a context that is not there");
  staging_->tensors[slot].assign(elements.data, elements.data + contexts * stride);
}

void Forward::read_cotangents(const Napi::Object& tensors) {
  const NetworkShape& shape = network_->shape();
  read_argument(3, tensors.Get("outCotangent"), "outCotangent", &Evaluation::out_cotangent, shape.out);
  if (shape.head > 0) {
    read_argument(4, tensors.Get("headCotangent"), "headCotangent", &Evaluation::head_cotangent, shape.head);
  }
  if (network_->pulls_to_image()) {
    read_result(5, tensors.Get("imageCotangent"), "imageCotangent", &Evaluation::image_cotangent, shape.image);
  }
  if (network_->derivative() != Derivative::kWeights) return;
  read_gradients(tensors.Get("gradients"));
  read_given(tensors);
  if (network_->pulls_to_context()) {
    read_result(10, tensors.Get("contextCotangent"), "contextCotangent", &Evaluation::context_cotangent, shape.context);
  }
}

void Forward::read_gradients(const Napi::Value& value) {
  constexpr std::size_t kSlot = 6;
  const std::uint64_t elements = network_->gradients().elements();
  tensors_[kSlot] = {"gradients", &Evaluation::gradients, 0, elements, true, nullptr, {}};
  if (read_tensor(kSlot, value)) read_array(kSlot, value);
}

bool Forward::read_tensor(std::size_t slot, const Napi::Value& value) {
  Tensor& tensor = tensors_[slot];
  if (!TensorWrap::is_tensor(value)) return true;
  tensor.tensor = TensorWrap::buffer_of(value, tensor.what, network_->device());
  if (tensor.tensor->bytes() < tensor.elements * sizeof(float)) misfit(tensor.what);
  return false;
}

void Forward::read_argument(std::size_t slot, const Napi::Value& value, const char* what, dpm_view Evaluation::* place,
                            std::uint64_t stride) {
  tensors_[slot] = {what, place, stride, batch_ * stride, false, nullptr, {}};
  if (!read_tensor(slot, value)) return;
  const auto elements = float_elements(value, what);
  if (elements.size != batch_ * stride) misfit(what);
  staging_->tensors[slot].assign(elements.data, elements.data + elements.size);
}

void Forward::read_result(std::size_t slot, const Napi::Value& value, const char* what, dpm_view Evaluation::* place,
                          std::uint64_t stride) {
  tensors_[slot] = {what, place, stride, batch_ * stride, true, nullptr, {}};
  if (read_tensor(slot, value)) read_array(slot, value);
}

void Forward::read_array(std::size_t slot, const Napi::Value& value) {
  Tensor& tensor = tensors_[slot];
  if (float_elements(value, tensor.what).size != tensor.elements) misfit(tensor.what);
  tensor.array = Napi::Reference<Napi::Float32Array>::New(value.As<Napi::Float32Array>(), 1);
}

std::shared_ptr<Buffer>& Forward::sized(std::shared_ptr<Buffer>& buffer, std::uint64_t elements) const {
  if (!buffer || buffer->bytes() < elements * sizeof(float)) {
    buffer = network_->device().allocate(elements * sizeof(float));
  }
  return buffer;
}

void Forward::run() {
  const NetworkShape& shape = network_->shape();
  network_->reserve(static_cast<int>(batch_));
  Evaluation evaluation;
  evaluation.batch = batch_;
  for (std::size_t slot = 0; slot < tensors_.size(); ++slot) {
    const Tensor& tensor = tensors_[slot];
    if (tensor.what == nullptr) continue;
    const std::shared_ptr<Buffer>& buffer =
        tensor.tensor ? tensor.tensor : sized(memory_->tensors[slot], tensor.elements);
    const std::vector<float>& given = staging_->tensors[slot];
    if (!tensor.is_result && !tensor.tensor) buffer->upload(0, given.data(), given.size() * sizeof(float));
    // Gradients are added to what is there; an array receives their sum alone.
    if (tensor.place == &Evaluation::gradients && !tensor.tensor) buffer->clear(0, buffer->bytes());
    evaluation.*tensor.place = buffer->view(tensor.stride);
  }
  // The second output is computed even if the caller does not want it.
  if (shape.head > 0 && tensors_[2].what == nullptr) {
    evaluation.head = sized(memory_->tensors[2], batch_ * shape.head)->view(shape.head);
  }
  sized(memory_->time, batch_)->upload(0, staging_->times.data(), batch_ * sizeof(float));
  evaluation.time = memory_->time->view(1);
  if (shape.classes > 0) {
    sized(memory_->labels, batch_)->upload(0, staging_->labels.data(), batch_ * sizeof(std::int32_t));
    evaluation.labels = memory_->labels->view(1);
  }
  if (!staging_->groups.empty()) {
    sized(memory_->groups, batch_)->upload(0, staging_->groups.data(), batch_ * sizeof(std::uint32_t));
    evaluation.groups = memory_->groups->view(1);
  }
  network_->evaluate(evaluation, staging_->times.data());
  for (std::size_t slot = 0; slot < tensors_.size(); ++slot) {
    if (tensors_[slot].array.IsEmpty()) continue;
    std::vector<float>& result = staging_->tensors[slot];
    result.resize(tensors_[slot].elements);
    memory_->tensors[slot]->download(0, result.data(), result.size() * sizeof(float));
  }
}

void Forward::deliver() {
  for (std::size_t slot = 0; slot < tensors_.size(); ++slot) {
    if (tensors_[slot].array.IsEmpty()) continue;
    const std::vector<float>& result = staging_->tensors[slot];
    Napi::Float32Array array = tensors_[slot].array.Value();
    // The caller may have transferred the array's buffer away meanwhile.
    require(array.ElementLength() == result.size(), "an output array was detached during the call");
    std::memcpy(array.Data(), result.data(), result.size() * sizeof(float));
  }
}

}  // namespace dpm::addon
