#include "evaluate_network.h"

#include <algorithm>

#include "random_values.h"

namespace dpm::test {

std::vector<float> evaluate_twice(Network& network, int batch) {
  network.reserve(batch);
  const auto count = static_cast<std::uint64_t>(batch);
  const NetworkShape& shape = network.shape();
  RandomValues random(3);
  const auto upload = [&](const auto& values) {
    auto buffer = network.device().allocate(values.size() * 4);
    buffer->upload(0, values.data(), values.size() * 4);
    return buffer;
  };
  std::vector<float> times;
  std::vector<std::int32_t> labels;
  for (int n = 0; n < batch; ++n) {
    times.push_back(1 + 100.0F * static_cast<float>(n));
    labels.push_back(n % 3);
  }
  const auto image = upload(random.normals(count * shape.image));
  const auto time = upload(times);
  const auto label = upload(labels);
  const auto out = network.device().allocate(count * shape.out * 4);
  const auto head = network.device().allocate(std::max<std::uint64_t>(count * shape.head, 1) * 4);
  Evaluation evaluation;
  evaluation.batch = static_cast<std::uint32_t>(batch);
  evaluation.image = image->view(shape.image);
  evaluation.time = time->view(1);
  if (shape.classes > 0) evaluation.labels = label->view(1);
  evaluation.out = out->view(shape.out);
  if (shape.head > 0) evaluation.head = head->view(shape.head);
  network.evaluate(evaluation, times.data());
  network.evaluate(evaluation, times.data());
  std::vector<float> result(count * (shape.out + shape.head));
  out->download(0, result.data(), count * shape.out * 4);
  if (shape.head > 0) head->download(0, result.data() + count * shape.out, count * shape.head * 4);
  return result;
}

}  // namespace dpm::test
