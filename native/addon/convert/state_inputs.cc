#include "addon/convert/state_inputs.h"

#include <algorithm>

#include "addon/convert/objects.h"
#include "addon/convert/run_request.h"
#include "addon/convert/typed_arrays.h"
#include "addon/wraps/tensor_wrap.h"

namespace dpm::addon {
namespace {

constexpr std::size_t kStreamWords = 5;

/// Views of tensors [batch][elements]; this object keeps the tensors alive.
class Views {
 public:
  Views(const Device& device, std::uint32_t batch, std::uint64_t elements, std::vector<std::shared_ptr<Buffer>>& kept)
      : device_(device), batch_(batch), elements_(elements), kept_(kept) {
    require(elements > 0 && elements <= 0x7FFFFFFF && batch > 0 && batch <= 65536, "batch or elements is out of range");
  }

  dpm_view of(const Napi::Value& value, const char* what) {
    auto buffer = TensorWrap::buffer_of(value, what, device_);
    require(buffer->bytes() / sizeof(float) >= batch_ * elements_, "a tensor is smaller than batch x elements");
    const dpm_view view = buffer->view(elements_);
    kept_.push_back(std::move(buffer));
    return view;
  }
  /// Returns the view of a tensor, or an absent view where there is no tensor.
  dpm_view of_any(const Napi::Value& value, const char* what) {
    return is_absent(value) ? dpm_view{} : of(value, what);
  }

 private:
  const Device& device_;
  std::uint32_t batch_;
  std::uint64_t elements_;
  std::vector<std::shared_ptr<Buffer>>& kept_;
};

void read_registers(const Napi::Object& registers, Views& views, dpm_update& update) {
  const auto view = [&](const char* key) { return views.of_any(registers.Get(key), key); };
  update.x = view("x");
  update.y = view("y");
  update.out = view("out");
  update.head = view("head");
  update.noise = view("noise");
  const Napi::Value history = registers.Get("history");
  if (!history.IsArray()) return;
  const auto slots = history.As<Napi::Array>();
  // Reading an element can run JavaScript that makes the array longer.
  const std::uint32_t length = slots.Length();
  require(length <= DPM_MAX_HISTORY, "the history is too long");
  for (std::uint32_t j = 0; j < length; ++j) {
    const Napi::Value slot = slots.Get(j);
    update.history[j] = views.of_any(slot, "history");
  }
}

}  // namespace

UpdateInputs to_update_inputs(const Napi::CallbackInfo& info, const Device& device) {
  UpdateInputs request;
  request.records = to_records(info[2]);
  dpm_update& update = request.update;
  update.batch = to_uint32(info[0], "batch");
  update.elements = to_uint32(info[1], "elements");
  require(request.records.size() == update.batch, "records must hold one record per sample");
  require(info[3].IsObject(), "registers must be an object");
  Views views(device, update.batch, update.elements, request.tensors);
  read_registers(info[3].As<Napi::Object>(), views, update);
  const auto streams = uint32_elements(info[4], "streams");
  require(streams.size == kStreamWords * update.batch, "streams must hold five words per sample");
  for (std::uint32_t n = 0; n < update.batch; ++n) {
    const std::uint32_t* word = streams.data + kStreamWords * n;
    request.samples.push_back({&request.records[n], n, n, n, word[0], word[1], word[2], word[3], word[4]});
  }
  update.samples = request.samples.data();
  return request;
}

ReduceInputs to_reduce_inputs(const Napi::CallbackInfo& info, const Device& device) {
  const std::string kind = info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "";
  const char* const kinds[] = {"sum", "sum-squares", "dot", "max-abs"};
  const auto* const found = std::find(std::begin(kinds), std::end(kinds), kind);
  require(found != std::end(kinds), "a reduction is one of sum, sum-squares, dot, max-abs");
  ReduceInputs request;
  dpm_reduce& reduce = request.reduce;
  reduce.kind = static_cast<std::uint32_t>(found - std::begin(kinds));
  reduce.batch = to_uint32(info[1], "batch");
  reduce.elements = to_uint32(info[2], "elements");
  Views views(device, reduce.batch, reduce.elements, request.tensors);
  reduce.a = views.of(info[3], "a");
  reduce.b = views.of_any(info[4], "b");
  request.results.resize(reduce.batch);
  reduce.result = request.results.data();
  return request;
}

}  // namespace dpm::addon
