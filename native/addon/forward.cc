#include "addon/forward.h"

#include <cstring>

#include "addon/convert.h"
#include "addon/tensor_wrap.h"

namespace dpm::addon {

Forward::Forward(const Napi::CallbackInfo& info, std::shared_ptr<Network> network,
                 std::shared_ptr<ForwardBuffers> buffers)
    : network_(std::move(network)), buffers_(std::move(buffers)), batch_(to_uint32(info[0], "batch")) {
  const NetworkShape& shape = network_->shape();
  require(batch_ > 0 && batch_ <= 65536, "batch must be between 1 and 65536");
  if (TensorWrap::is_tensor(info[1])) {
    x_tensor_ = TensorWrap::buffer_of(info[1], "x");
    require(x_tensor_->bytes() >= batch_ * shape.image * sizeof(float), "x is smaller than batch x C x H x W");
  } else {
    const auto x = float_elements(info[1], "x");
    require(x.size == batch_ * shape.image, "x must have batch x C x H x W elements");
    x_.assign(x.data, x.data + x.size);
  }
  const auto times = float_elements(info[2], "t");
  require(times.size == batch_, "t must have one element per sample");
  times_.assign(times.data, times.data + times.size);
  if (!info[3].IsNull() && !info[3].IsUndefined()) {
    const auto labels = int32_elements(info[3], "labels");
    require(labels.size == batch_, "labels must have one element per sample");
    labels_.assign(labels.data, labels.data + labels.size);
    for (const std::int32_t label : labels_) require(label < shape.classes, "a label is out of range");
  }
  read_output(info[4], "out", shape.out, out_);
  if (!info[5].IsNull() && !info[5].IsUndefined()) {
    require(shape.head > 0, "the network has no second output");
    read_output(info[5], "head", shape.head, head_);
  }
}

void Forward::read_output(const Napi::Value& value, const char* what, std::uint64_t stride, Output& output) const {
  output.stride = stride;
  if (TensorWrap::is_tensor(value)) {
    output.tensor = TensorWrap::buffer_of(value, what);
    require(output.tensor->bytes() >= batch_ * stride * sizeof(float), "an output tensor is too small");
    return;
  }
  const auto elements = float_elements(value, what);
  require(elements.size == batch_ * stride, "an output array has the wrong size");
  output.array = Napi::Reference<Napi::Float32Array>::New(value.As<Napi::Float32Array>(), 1);
}

std::shared_ptr<Buffer>& Forward::sized(std::shared_ptr<Buffer>& buffer, std::uint64_t elements) const {
  if (!buffer || buffer->bytes() < elements * sizeof(float)) {
    buffer = network_->device().allocate(elements * sizeof(float));
  }
  return buffer;
}

dpm_view Forward::bind(Output& output, std::shared_ptr<Buffer>& buffer) const {
  if (output.tensor) return output.tensor->view(output.stride);
  return sized(buffer, batch_ * output.stride)->view(output.stride);
}

void Forward::copy_out(Output& output, const Buffer& buffer) {
  if (output.array.IsEmpty()) return;
  buffer.download(0, output.staging.data(), output.staging.size() * sizeof(float));
}

void Forward::run() {
  const NetworkShape& shape = network_->shape();
  network_->reserve(static_cast<int>(batch_));
  dpm_bindings bindings{};
  bindings.batch = batch_;
  if (x_tensor_) {
    bindings.image = x_tensor_->view(shape.image);
  } else {
    sized(buffers_->image, x_.size())->upload(0, x_.data(), x_.size() * sizeof(float));
    bindings.image = buffers_->image->view(shape.image);
  }
  sized(buffers_->time, batch_)->upload(0, times_.data(), times_.size() * sizeof(float));
  bindings.time = buffers_->time->view(1);
  if (shape.classes > 0) {
    labels_.resize(batch_, -1);
    sized(buffers_->labels, batch_)->upload(0, labels_.data(), labels_.size() * sizeof(std::int32_t));
    bindings.labels = buffers_->labels->view(1);
  }
  bindings.out = bind(out_, buffers_->out);
  head_.stride = shape.head;
  if (shape.head > 0) bindings.head = bind(head_, buffers_->head);
  network_->evaluate(bindings);
  for (Output* output : {&out_, &head_}) {
    if (output->array.IsEmpty()) continue;
    output->staging.resize(batch_ * output->stride);
    copy_out(*output, output == &out_ ? *buffers_->out : *buffers_->head);
  }
}

void Forward::deliver() {
  for (Output* output : {&out_, &head_}) {
    if (output->array.IsEmpty()) continue;
    Napi::Float32Array array = output->array.Value();
    // The caller may have transferred its buffer away meanwhile.
    require(array.ElementLength() == output->staging.size(), "an output array was detached during the call");
    std::memcpy(array.Data(), output->staging.data(), output->staging.size() * sizeof(float));
  }
}

}  // namespace dpm::addon
