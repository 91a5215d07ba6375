#include "addon/jobs/state_jobs.h"

#include <algorithm>
#include <cstring>

#include "addon/convert/objects.h"
#include "addon/convert/run_request.h"
#include "addon/convert/typed_arrays.h"
#include "addon/wraps/tensor_wrap.h"

namespace dpm::addon {
namespace {

constexpr std::size_t kStreamWords = 5;

/// Refuses what would wrap around or leave a tensor.
void check_extent(const Buffer& buffer, std::uint64_t batch, std::uint64_t elements) {
  require(elements > 0 && elements <= 0x7FFFFFFF && batch > 0 && batch <= 65536, "batch or elements is out of range");
  require(buffer.bytes() / sizeof(float) >= batch * elements, "a tensor is smaller than batch x elements");
}

}  // namespace

UpdateJob::UpdateJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Device> device)
    : PromiseJob(info.Env(), owner), device_(std::move(device)), records_(to_records(info[2])) {
  update_.batch = to_uint32(info[0], "batch");
  update_.elements = to_uint32(info[1], "elements");
  require(records_.size() == update_.batch, "records must hold one record per sample");
  require(info[3].IsObject(), "registers must be an object");
  const auto registers = info[3].As<Napi::Object>();
  update_.x = view_of(registers, "x");
  update_.y = view_of(registers, "y");
  update_.out = view_of(registers, "out");
  update_.head = view_of(registers, "head");
  update_.noise = view_of(registers, "noise");
  const Napi::Value history = registers.Get("history");
  if (history.IsArray()) {
    const auto slots = history.As<Napi::Array>();
    // Reading an element can run JavaScript that makes the array longer.
    const std::uint32_t length = slots.Length();
    require(length <= DPM_MAX_HISTORY, "the history is too long");
    for (std::uint32_t j = 0; j < length; ++j) {
      const Napi::Value slot = slots.Get(j);
      update_.history[j] = view_of(slot, "history");
    }
  }
  const auto streams = uint32_elements(info[4], "streams");
  require(streams.size == kStreamWords * update_.batch, "streams must hold five words per sample");
  for (std::uint32_t n = 0; n < update_.batch; ++n) {
    const std::uint32_t* word = streams.data + kStreamWords * n;
    samples_.push_back({&records_[n], n, n, n, word[0], word[1], word[2], word[3], word[4]});
  }
  update_.samples = samples_.data();
}

dpm_view UpdateJob::view_of(const Napi::Object& registers, const char* key) { return view_of(registers.Get(key), key); }

dpm_view UpdateJob::view_of(const Napi::Value& value, const char* what) {
  if (value.IsNull() || value.IsUndefined()) return {};
  auto buffer = TensorWrap::buffer_of(value, what, *device_);
  check_extent(*buffer, update_.batch, update_.elements);
  tensors_.push_back(buffer);
  return buffer->view(update_.elements);
}

ReduceJob::ReduceJob(const Napi::CallbackInfo& info, const Napi::Object& owner, std::shared_ptr<Device> device)
    : PromiseJob(info.Env(), owner), device_(std::move(device)) {
  const std::string kind = info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "";
  const char* const kinds[] = {"sum", "sum-squares", "dot", "max-abs"};
  const auto* const found = std::find(std::begin(kinds), std::end(kinds), kind);
  require(found != std::end(kinds), "a reduction is one of sum, sum-squares, dot, max-abs");
  request_.kind = static_cast<std::uint32_t>(found - std::begin(kinds));
  request_.batch = to_uint32(info[1], "batch");
  request_.elements = to_uint32(info[2], "elements");
  a_ = TensorWrap::buffer_of(info[3], "a", *device_);
  check_extent(*a_, request_.batch, request_.elements);
  request_.a = a_->view(request_.elements);
  if (!info[4].IsNull() && !info[4].IsUndefined()) {
    b_ = TensorWrap::buffer_of(info[4], "b", *device_);
    check_extent(*b_, request_.batch, request_.elements);
    request_.b = b_->view(request_.elements);
  }
  results_.resize(request_.batch);
  request_.result = results_.data();
}

void ReduceJob::run() { device_->reduce(request_); }

Napi::Value ReduceJob::result(Napi::Env env) {
  auto array = Napi::Float64Array::New(env, results_.size());
  std::copy(results_.begin(), results_.end(), array.Data());
  return array;
}

ReadJob::ReadJob(const Napi::CallbackInfo& info, const Napi::Object& owner, const Device& device)
    : PromiseJob(info.Env(), owner), tensor_(TensorWrap::buffer_of(info[0], "tensor", device)) {
  const auto target = float_elements(info[1], "into");
  require(target.size * sizeof(float) <= tensor_->bytes(), "the array is larger than the tensor");
  array_ = Napi::Reference<Napi::Float32Array>::New(info[1].As<Napi::Float32Array>(), 1);
  staging_.resize(target.size);
}

void ReadJob::run() { tensor_->download(0, staging_.data(), staging_.size() * sizeof(float)); }

Napi::Value ReadJob::result(Napi::Env env) {
  translated(env, [this] {
    Napi::Float32Array array = array_.Value();
    require(array.ElementLength() == staging_.size(), "the array was detached during the call");
    if (!staging_.empty()) std::memcpy(array.Data(), staging_.data(), staging_.size() * sizeof(float));
  });
  return env.Undefined();
}

}  // namespace dpm::addon
