#include "addon/jobs/forward.h"

#include <cstring>

#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"
#include "addon/wraps/tensor_wrap.h"

namespace dpm::addon {

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
  out_.stride = shape.out;
  head_.stride = shape.head;
  read_inputs(info);
  read_output(info[4], "out", out_);
  if (info[5].IsNull() || info[5].IsUndefined()) return;
  require(shape.head > 0, "the network has no second output");
  read_output(info[5], "head", head_);
}

Forward::~Forward() { memory_->give_back(std::move(staging_)); }

void Forward::read_inputs(const Napi::CallbackInfo& info) {
  const NetworkShape& shape = network_->shape();
  if (TensorWrap::is_tensor(info[1])) {
    x_tensor_ = TensorWrap::buffer_of(info[1], "x", network_->device());
    require(x_tensor_->bytes() >= batch_ * shape.image * sizeof(float), "x is smaller than batch x C x H x W");
    staging_->x.clear();
  } else {
    const auto x = float_elements(info[1], "x");
    require(x.size == batch_ * shape.image, "x must have batch x C x H x W elements");
    staging_->x.assign(x.data, x.data + x.size);
  }
  const auto times = float_elements(info[2], "t");
  require(times.size == batch_, "t must have one element per sample");
  staging_->times.assign(times.data, times.data + times.size);
  staging_->labels.assign(batch_, -1);
  if (info[3].IsNull() || info[3].IsUndefined()) return;
  const auto labels = int32_elements(info[3], "labels");
  require(labels.size == batch_, "labels must have one element per sample");
  staging_->labels.assign(labels.data, labels.data + labels.size);
  for (const std::int32_t label : staging_->labels) require(label < shape.classes, "a label is out of range");
}

void Forward::read_output(const Napi::Value& value, const char* what, Output& output) const {
  if (TensorWrap::is_tensor(value)) {
    output.tensor = TensorWrap::buffer_of(value, what, network_->device());
    require(output.tensor->bytes() >= batch_ * output.stride * sizeof(float), "an output tensor is too small");
    return;
  }
  const auto elements = float_elements(value, what);
  require(elements.size == batch_ * output.stride, "an output array has the wrong size");
  output.array = Napi::Reference<Napi::Float32Array>::New(value.As<Napi::Float32Array>(), 1);
}

std::shared_ptr<Buffer>& Forward::sized(std::shared_ptr<Buffer>& buffer, std::uint64_t elements) const {
  if (!buffer || buffer->bytes() < elements * sizeof(float)) {
    buffer = network_->device().allocate(elements * sizeof(float));
  }
  return buffer;
}

dpm_view Forward::bind(const Output& output, std::shared_ptr<Buffer>& buffer) const {
  if (output.tensor) return output.tensor->view(output.stride);
  return sized(buffer, batch_ * output.stride)->view(output.stride);
}

void Forward::copy_out(const Output& output, const Buffer& buffer, std::vector<float>& staging) const {
  staging.resize(batch_ * output.stride);
  buffer.download(0, staging.data(), staging.size() * sizeof(float));
}

void Forward::run() {
  const NetworkShape& shape = network_->shape();
  network_->reserve(static_cast<int>(batch_));
  Evaluation evaluation;
  evaluation.batch = batch_;
  if (x_tensor_) {
    evaluation.image = x_tensor_->view(shape.image);
  } else {
    sized(memory_->image, staging_->x.size())->upload(0, staging_->x.data(), staging_->x.size() * sizeof(float));
    evaluation.image = memory_->image->view(shape.image);
  }
  sized(memory_->time, batch_)->upload(0, staging_->times.data(), batch_ * sizeof(float));
  evaluation.time = memory_->time->view(1);
  if (shape.classes > 0) {
    sized(memory_->labels, batch_)->upload(0, staging_->labels.data(), batch_ * sizeof(std::int32_t));
    evaluation.labels = memory_->labels->view(1);
  }
  evaluation.out = bind(out_, memory_->out);
  if (shape.head > 0) evaluation.head = bind(head_, memory_->head);
  network_->evaluate(evaluation, staging_->times.data());
  if (!out_.array.IsEmpty()) copy_out(out_, *memory_->out, staging_->out);
  if (!head_.array.IsEmpty()) copy_out(head_, *memory_->head, staging_->head);
}

void Forward::copy_to_array(const Output& output, const std::vector<float>& staging) {
  Napi::Float32Array array = output.array.Value();
  // The caller may have transferred its buffer away meanwhile.
  require(array.ElementLength() == staging.size(), "an output array was detached during the call");
  std::memcpy(array.Data(), staging.data(), staging.size() * sizeof(float));
}

void Forward::deliver() {
  if (!out_.array.IsEmpty()) copy_to_array(out_, staging_->out);
  if (!head_.array.IsEmpty()) copy_to_array(head_, staging_->head);
}

}  // namespace dpm::addon
