// Durations of a network's evaluations and of their nodes, measured with zeros.
#include <chrono>
#include <utility>

#include "core/error.h"
#include "core/median.h"
#include "engine/network.h"

namespace dpm {

void Network::with_zeros(int batch, const std::function<void(const Evaluation&)>& work) {
  reserve(batch);
  std::vector<std::shared_ptr<Buffer>> buffers;
  Evaluation evaluation;
  evaluation.batch = static_cast<std::uint32_t>(batch);
  if (gradients_.elements() > 0) {
    buffers.push_back(device_->allocate(gradients_.elements() * sizeof(float)));
    buffers.back()->clear(0, buffers.back()->bytes());
    evaluation.gradients = buffers.back()->view(0);
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].tensor == &Evaluation::gradients) continue;
    buffers.push_back(device_->allocate(evaluation.batch * elements(i) * sizeof(float)));
    buffers.back()->clear(0, buffers.back()->bytes());
    evaluation.*tensors_[i].tensor = buffers.back()->view(elements(i));
  }
  work(evaluation);
}

std::vector<double> Network::measure(const std::vector<std::uint32_t>& batches, int repeats,
                                     const std::atomic<bool>& stopping) {
  std::vector<double> result;
  const int before = reserved_;
  for (const std::uint32_t batch : batches) {
    std::vector<double> seconds;
    with_zeros(static_cast<int>(batch), [&](const Evaluation& evaluation) {
      for (int i = 0; i <= repeats; ++i) {
        if (stopping) throw Error(ErrorCode::kClosed, "the engine was closed");
        const auto start = std::chrono::steady_clock::now();
        run(evaluation, nullptr);
        device_->wait_for(evaluation.out);
        const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
        if (i > 0) seconds.push_back(taken.count());
      }
    });
    result.push_back(median(seconds));
  }
  if (reserved_ > before) {
    release_executable();
    if (before > 0) compile(before);
  }
  return result;
}

std::vector<NodeTime> Network::profile(int batch, int repeats, const std::atomic<bool>& stopping) {
  std::vector<std::vector<double>> samples(graph_.nodes.size());
  std::vector<double> seconds(graph_.nodes.size());
  with_zeros(batch, [&](const Evaluation& evaluation) {
    for (int i = 0; i < repeats; ++i) {
      if (stopping) throw Error(ErrorCode::kClosed, "the engine was closed");
      run(evaluation, seconds.data());
      for (std::size_t node = 0; node < seconds.size(); ++node) samples[node].push_back(seconds[node]);
    }
  });
  std::vector<NodeTime> result;
  result.reserve(samples.size());
  for (std::size_t node = 0; node < samples.size(); ++node) {
    result.push_back({graph_.nodes[node].name, median(samples[node]) * 1e3,
                      static_cast<std::uint64_t>(batch) * graph::multiply_adds(graph_, graph_.nodes[node])});
  }
  return result;
}

}  // namespace dpm
