#include "addon/convert.h"

#include <cmath>
#include <cstring>
#include <initializer_list>
#include <memory>

#include "addon/environment.h"

namespace dpm::addon {
namespace {

[[noreturn]] void wrong(const std::string& what, const char* expected) {
  throw Error(ErrorCode::kArgument, what + " must be " + expected);
}

template <typename Array>
Array typed_array(const Napi::Value& value, napi_typedarray_type type, const char* what, const char* expected) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) wrong(what, expected);
  return value.As<Array>();
}

bool to_bool(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsBoolean()) wrong(key, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

double to_double(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) wrong(key, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

Napi::Object to_object(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsObject()) wrong(key, "an object");
  return value.As<Napi::Object>();
}

Napi::Array to_array(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsArray()) wrong(key, "an array");
  return value.As<Napi::Array>();
}

bool has_value(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return !value.IsNull() && !value.IsUndefined();
}

std::uint64_t to_size(const Napi::Object& object, const char* key) {
  const double value = to_double(object, key);
  constexpr double kLargest = 9007199254740991.0;
  if (!(value >= 0 && value <= kLargest && std::floor(value) == value)) wrong(key, "a non-negative integer");
  return static_cast<std::uint64_t>(value);
}

unet::Block::Kind block_kind(const Napi::Object& block) {
  using Kind = unet::Block::Kind;
  constexpr Kind kKinds[] = {Kind::kPush,         Kind::kPop,           Kind::kResidual,  Kind::kAttention,
                             Kind::kDownsample,   Kind::kUpsample,      Kind::kResample,  Kind::kImageResample,
                             Kind::kImageCombine, Kind::kImageResidual, Kind::kResultAdd, Kind::kResultResample};
  return kKinds[to_choice(block, "kind",
                          {"push", "pop", "residual", "attention", "downsample", "upsample", "resample",
                           "image-resample", "image-combine", "image-residual", "result-add", "result-resample"})];
}

unet::Block::Resample to_resample(const Napi::Object& object, const char* key) {
  using Resample = unet::Block::Resample;
  constexpr Resample kResamples[] = {Resample::kNone, Resample::kMean, Resample::kNearest, Resample::kFirDown,
                                     Resample::kFirUp};
  return kResamples[to_choice(object, key, {"none", "mean", "nearest", "fir-down", "fir-up"})];
}

void read_norms(const Napi::Object& object, unet::Block& block) {
  block.epsilon = static_cast<float>(to_double(object, "epsilon"));
  block.scale = static_cast<float>(to_double(object, "scale"));
}

unet::Block to_block(const Napi::Object& object) {
  using Kind = unet::Block::Kind;
  unet::Block block;
  block.kind = block_kind(object);
  switch (block.kind) {
    case Kind::kPush:
    case Kind::kPop:
      return block;
    case Kind::kResample:
    case Kind::kImageResample:
    case Kind::kResultResample:
      block.resample = to_resample(object, "method");
      return block;
    default:
      block.name = to_text(object, "name");
  }
  switch (block.kind) {
    case Kind::kDownsample:
      block.asymmetric = to_choice(object, "padding", {"symmetric", "asymmetric"}) == 1;
      break;
    case Kind::kAttention:
      block.heads = to_int(object, "heads");
      block.groups1 = to_int(object, "groups");
      read_norms(object, block);
      break;
    case Kind::kResidual:
      block.groups1 = to_int(object, "groups1");
      block.groups2 = to_int(object, "groups2");
      block.scale_shift = to_choice(object, "timeMode", {"add", "scale-shift"}) == 1;
      block.resample = to_resample(object, "resample");
      block.shortcut = to_choice(object, "shortcut", {"identity", "convolution"}) == 1;
      read_norms(object, block);
      break;
    case Kind::kImageCombine:
      block.concat = to_choice(object, "method", {"sum", "concat"}) == 1;
      break;
    case Kind::kImageResidual:
      block.filtered = to_bool(object, "fir");
      block.scale = static_cast<float>(to_double(object, "scale"));
      break;
    case Kind::kResultAdd:
      block.norm = to_text(object, "norm");
      block.groups1 = to_int(object, "groups");
      block.epsilon = static_cast<float>(to_double(object, "epsilon"));
      break;
    default:
      break;
  }
  return block;
}

std::vector<float> to_floats(const Napi::Value& value, const char* key) {
  if (value.IsNull() || value.IsUndefined()) return {};
  const auto elements = float_elements(value, key);
  return {elements.data, elements.data + elements.size};
}

/// Size of one side or channel count of a network; shape inference checks their products.
int to_extent(const Napi::Object& object, const char* key) {
  const int value = to_int(object, key);
  if (value < 1 || value > 65536) wrong(key, "between 1 and 65536");
  return value;
}

}  // namespace

std::size_t to_choice(const Napi::Object& object, const char* key, std::initializer_list<const char*> choices) {
  const std::string text = to_text(object, key);
  std::size_t index = 0;
  std::string listed;
  for (const char* choice : choices) {
    if (text == choice) return index;
    listed += (index++ > 0 ? ", " : "") + std::string(choice);
  }
  throw Error(ErrorCode::kArgument, std::string(key) + " is " + text + ", expected one of " + listed);
}

Napi::Error js_error(Napi::Env env, ErrorCode code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Value().Set("code", Napi::String::New(env, error_code_name(code)));
  return error;
}

Elements<float> float_elements(const Napi::Value& value, const char* what) {
  auto array = typed_array<Napi::Float32Array>(value, napi_float32_array, what, "a Float32Array");
  return {array.Data(), array.ElementLength()};
}

Elements<std::uint32_t> uint32_elements(const Napi::Value& value, const char* what) {
  auto array = typed_array<Napi::Uint32Array>(value, napi_uint32_array, what, "a Uint32Array");
  return {array.Data(), array.ElementLength()};
}

Elements<std::int32_t> int32_elements(const Napi::Value& value, const char* what) {
  auto array = typed_array<Napi::Int32Array>(value, napi_int32_array, what, "an Int32Array");
  return {array.Data(), array.ElementLength()};
}

Elements<std::uint8_t> byte_elements(const Napi::Value& value, const char* what) {
  auto array = typed_array<Napi::Uint8Array>(value, napi_uint8_array, what, "a Uint8Array");
  return {array.Data(), array.ElementLength()};
}

std::uint32_t to_uint32(const Napi::Value& value, const char* what) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1.0;
  if (!(number >= 0 && number <= 4294967295.0 && std::floor(number) == number))
    wrong(what, "an unsigned 32-bit integer");
  return static_cast<std::uint32_t>(number);
}

int to_int(const Napi::Object& object, const char* key) {
  const double value = to_double(object, key);
  if (!(value >= -2147483648.0 && value <= 2147483647.0 && std::floor(value) == value)) wrong(key, "a 32-bit integer");
  return static_cast<int>(value);
}

std::string to_text(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsString()) wrong(key, "a string");
  return value.As<Napi::String>().Utf8Value();
}

unet::Description to_description(const Napi::Object& object) {
  unet::Description description;
  description.in_channels = to_extent(object, "inChannels");
  description.height = to_extent(object, "height");
  description.width = to_extent(object, "width");
  description.center_input = to_bool(object, "centerInput");
  const Napi::Object time = to_object(object, "time");
  description.time_channels = to_extent(time, "channels");
  description.frequency_shift = static_cast<float>(to_double(time, "shift"));
  description.cosine_first = to_choice(time, "order", {"sin-cos", "cos-sin"}) == 1;
  description.fourier = has_value(time, "fourier");
  description.logarithmic = description.fourier && to_choice(time, "fourier", {"linear", "logarithmic"}) == 1;
  description.time_rows = has_value(time, "rows");
  description.classes = to_int(object, "classes");
  if (has_value(object, "classEmbedding")) {
    description.class_embedding = static_cast<unet::Description::ClassEmbedding>(
        to_choice(object, "classEmbedding", {"row", "scaled-row", "time"}));
  }
  const Napi::Array blocks = to_array(object, "blocks");
  for (std::uint32_t i = 0; i < blocks.Length(); ++i) {
    const Napi::Value block = blocks.Get(i);
    if (!block.IsObject()) wrong("a block", "an object");
    description.blocks.push_back(to_block(block.As<Napi::Object>()));
  }
  description.result_alone = !has_value(object, "output");
  if (!description.result_alone) {
    const Napi::Object output = to_object(object, "output");
    description.output_groups = to_extent(output, "groups");
    description.output_epsilon = static_cast<float>(to_double(output, "epsilon"));
  }
  const Napi::Value divisor = object.Get("divisor");
  description.divides_by_time = divisor.IsString();
  if (!divisor.IsString()) description.divisors = to_floats(divisor, "divisor");
  description.has_head = has_value(object, "head");
  if (!description.has_head) return description;
  const Napi::Object head = to_object(object, "head");
  description.head.prefix = to_text(head, "prefix");
  description.head.complex = to_bool(head, "complex");
  description.head.groups = to_extent(head, "groups");
  description.head.epsilon = static_cast<float>(to_double(head, "epsilon"));
  return description;
}

namespace {

std::vector<std::int64_t> to_dimensions(const Napi::Array& values) {
  std::vector<std::int64_t> dimensions;
  for (std::uint32_t d = 0; d < values.Length(); ++d) {
    const Napi::Value dim = values.Get(d);
    dimensions.push_back(static_cast<std::int64_t>(to_uint32(dim, "a dimension")));
  }
  return dimensions;
}

}  // namespace

WeightRequest to_weights(const Napi::Object& object) {
  WeightRequest request;
  const Napi::Array files = to_array(object, "files");
  for (std::uint32_t i = 0; i < files.Length(); ++i) {
    const Napi::Value file = files.Get(i);
    if (!file.IsString()) wrong("a file", "a string");
    request.files.push_back(file.As<Napi::String>().Utf8Value());
  }
  const Napi::Array tensors = to_array(object, "tensors");
  for (std::uint32_t i = 0; i < tensors.Length(); ++i) {
    const Napi::Value element = tensors.Get(i);
    if (!element.IsObject()) wrong("a tensor", "an object");
    const auto tensor = element.As<Napi::Object>();
    unet::WeightLocation location;
    location.name = to_text(tensor, "name");
    location.file = to_size(tensor, "file");
    constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
    location.dtype = kTypes[to_choice(tensor, "dtype", {"F32", "F16", "BF16"})];
    location.shape = to_dimensions(to_array(tensor, "shape"));
    if (const Napi::Value view = tensor.Get("view"); view.IsObject()) {
      location.view_dims = to_dimensions(to_array(view.As<Napi::Object>(), "dims"));
      location.view_strides = to_dimensions(to_array(view.As<Napi::Object>(), "strides"));
    }
    location.offset = to_size(tensor, "offset");
    location.bytes = to_size(tensor, "bytes");
    request.tensors.push_back(std::move(location));
  }
  return request;
}

unet::Weights open_weights(const WeightRequest& request) {
  unet::Weights weights;
  for (const std::string& file : request.files) weights.add_file(file);
  for (const unet::WeightLocation& tensor : request.tensors) weights.add(tensor);
  return weights;
}

std::vector<dpm_record> to_records(const Napi::Value& value) {
  const auto bytes = byte_elements(value, "records");
  if (bytes.size % sizeof(dpm_record) != 0) wrong("records", "whole records");
  std::vector<dpm_record> records(bytes.size / sizeof(dpm_record));
  if (bytes.size > 0) std::memcpy(records.data(), bytes.data, bytes.size);
  return records;
}

RunRequest to_run_request(const Napi::Object& object) {
  // Reading a property can run JavaScript, which could detach a buffer: all are read before any buffer is looked into.
  const Napi::Value record_bytes = object.Get("records");
  const Napi::Value program_words = object.Get("programs");
  const Napi::Value initial_scale = object.Get("initialScale");
  const Napi::Value sample_program = object.Get("sampleProgram");
  const Napi::Value sample_stream = object.Get("sampleStream");
  const Napi::Value label_values = object.Get("labels");
  const Napi::Value guidance_values = object.Get("guidance");
  const Napi::Value init = object.Get("init");
  const Napi::Value noise = object.Get("noise");
  RunRequest request;
  request.unconditional_label = to_int(object, "unconditionalLabel");
  request.batch = to_uint32(object.Get("batch"), "batch");
  request.snapshot_every = to_uint32(object.Get("snapshotEvery"), "snapshotEvery");
  request.levels = object.Get("levels").ToBoolean().Value();

  request.records = to_records(record_bytes);
  const auto programs = uint32_elements(program_words, "programs");
  const auto scales = float_elements(initial_scale, "initialScale");
  if (programs.size != 3 * scales.size) wrong("programs", "three numbers a program");
  for (std::size_t i = 0; i < scales.size; ++i) {
    request.programs.push_back(
        {programs.data[3 * i], programs.data[3 * i + 1], programs.data[3 * i + 2], scales.data[i]});
  }
  const auto chosen = uint32_elements(sample_program, "sampleProgram");
  const auto streams = uint32_elements(sample_stream, "sampleStream");
  if (streams.size != 3 * chosen.size) wrong("sampleStream", "three numbers a sample");
  for (std::size_t i = 0; i < chosen.size; ++i) {
    request.samples.push_back({chosen.data[i], streams.data[3 * i], streams.data[3 * i + 1], streams.data[3 * i + 2]});
  }
  if (!label_values.IsNull() && !label_values.IsUndefined()) {
    const auto labels = int32_elements(label_values, "labels");
    if (labels.size != chosen.size) wrong("labels", "one number a sample");
    for (std::size_t i = 0; i < labels.size; ++i) request.samples[i].label = labels.data[i];
  }
  if (!guidance_values.IsNull() && !guidance_values.IsUndefined()) {
    const auto guidance = float_elements(guidance_values, "guidance");
    if (guidance.size != chosen.size) wrong("guidance", "one number a sample");
    for (std::size_t i = 0; i < guidance.size; ++i) request.samples[i].guidance = guidance.data[i];
  }
  request.init = to_floats(init, "init");
  request.noise = to_floats(noise, "noise");
  return request;
}

namespace {

/// A typed array over `values`, without a copy where the runtime allows it.
template <typename Array, typename T>
Array to_array(Napi::Env env, std::vector<T>&& values) {
  Environment& environment = Environment::of(env);
  const std::size_t size = values.size();
  if (size > 0 && !environment.external_buffers_refused) {
    auto owned = std::make_unique<std::vector<T>>(std::move(values));
    napi_value buffer = nullptr;
    const napi_status status = napi_create_external_arraybuffer(
        env, owned->data(), size * sizeof(T),
        [](napi_env /*env*/, void* /*data*/, void* hint) {
          std::unique_ptr<std::vector<T>>{static_cast<std::vector<T>*>(hint)}.reset();
        },
        owned.get(), &buffer);
    if (status == napi_ok) {
      // NOLINTNEXTLINE(bugprone-unused-return-value): the buffer's finalizer owns it now.
      owned.release();
      return Array::New(env, size, Napi::ArrayBuffer(env, buffer), 0);
    }
    environment.external_buffers_refused = true;
    values = std::move(*owned);
  }
  Array copy = Array::New(env, size);
  if (size > 0) std::memcpy(copy.Data(), values.data(), size * sizeof(T));
  return copy;
}

}  // namespace

Napi::Float32Array to_float_array(Napi::Env env, std::vector<float>&& values) {
  return to_array<Napi::Float32Array>(env, std::move(values));
}

Napi::Uint8Array to_level_array(Napi::Env env, std::vector<std::uint8_t>&& values) {
  return to_array<Napi::Uint8Array>(env, std::move(values));
}

}  // namespace dpm::addon
