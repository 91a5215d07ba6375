#include "addon/convert/run_request.h"

#include <cstring>

#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"
#include "addon/wraps/network_wrap.h"

namespace dpm::addon {

std::vector<dpm_record> to_records(const Napi::Value& value) {
  const auto bytes = byte_elements(value, "records");
  if (bytes.size % sizeof(dpm_record) != 0) wrong("records", "whole records");
  std::vector<dpm_record> records(bytes.size / sizeof(dpm_record));
  if (bytes.size > 0) std::memcpy(records.data(), bytes.data, bytes.size);
  return records;
}

RunRequest to_run_request(const Napi::Object& object) {
  // Reading a property can run JavaScript, which could detach a buffer: all properties are read before any buffer is
  // used.
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
  request.preview_every = to_uint32(object.Get("previewEvery"), "previewEvery");
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
  if (!is_absent(label_values)) {
    const auto labels = int32_elements(label_values, "labels");
    if (labels.size != chosen.size) wrong("labels", "one number a sample");
    for (std::size_t i = 0; i < labels.size; ++i) request.samples[i].label = labels.data[i];
  }
  if (!is_absent(guidance_values)) {
    const auto guidance = float_elements(guidance_values, "guidance");
    if (guidance.size != chosen.size) wrong("guidance", "one number a sample");
    for (std::size_t i = 0; i < guidance.size; ++i) request.samples[i].guidance = guidance.data[i];
  }
  request.init = to_floats(init, "init");
  request.noise = to_floats(noise, "noise");
  return request;
}

std::vector<Guide> to_guides(const Napi::Object& object) {
  std::vector<Guide> guides;
  if (!has_value(object, "guides")) return guides;
  const Napi::Array array = to_array(object, "guides");
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Object given = object_at(array, i, "a guide");
    Guide& guide = guides.emplace_back();
    guide.scale = to_float(given, "scale");
    const Napi::Value network = given.Get("network");
    const Napi::Value label_values = given.Get("labels");
    guide.network = NetworkWrap::network_of(network, "the network of a guide");
    const auto labels = int32_elements(label_values, "labels");
    guide.labels.assign(labels.data, labels.data + labels.size);
  }
  return guides;
}

}  // namespace dpm::addon
