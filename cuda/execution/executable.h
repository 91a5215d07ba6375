// A network with its memory for a batch, and the graphs of its earlier runs.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cuda/execution/graph_cache.h"
#include "cuda/execution/network.h"
#include "cuda/kernels/update.h"

namespace dpm::cuda {

class BatchStep;
class Trajectory;

/// Addresses that an evaluation reads and writes.
struct Evaluation {
  int batch = 0;
  /// Image n is row n of x, or the row in samples[n] (LoadImageArguments).
  Rows x{};
  Rows y{};
  const UpdateSample* samples = nullptr;
  const float* time = nullptr;
  const std::int32_t* labels = nullptr;
  Rows out{};
  Rows head{};
  /// Group of each row, whose number tensors of groups have; null: row n is group n.
  const std::uint32_t* groups = nullptr;
  /// Rows of the network's `given` and `derived` tensors.
  std::array<Rows, kMostGiven> given{};
  std::array<Rows, kMostDerived> derived{};
  /// Addresses of the network's `sums`, to which the evaluation adds.
  std::vector<float*> sums{};
};

struct Executable : Buried {
  Executable(Network& owner, const dpm_plan& plan);
  ~Executable() override;

  /// Runs one evaluation; `node_seconds`, where given, receives the time of every layer on the GPU.
  void run(const dpm_bindings& bindings, double* node_seconds);

  /// Prepares evaluations of `samples`: plans, scratch memory, and one run, after which the libraries have loaded all
  /// that they need. It has to be called before a capture.
  void prepare(int samples);
  /// Queues an evaluation that was prepared.
  void queue(const Evaluation& evaluation) const;
  /// Parts of `queue`. Layers read and write at `places`; without conditions, those layers are left out that depend on
  /// times and labels alone.
  void load_inputs(const Evaluation& evaluation) const;
  void queue_layers(const Evaluation& evaluation, const std::vector<unsigned char*>& places, bool conditions) const;
  void store_outputs(const Evaluation& evaluation) const;

  /// Returns the context of layers for an evaluation.
  [[nodiscard]] RunContext context(const Evaluation& evaluation, const std::vector<unsigned char*>& places) const;
  /// Addresses of every value's storage, null for times and labels.
  [[nodiscard]] const std::vector<unsigned char*>& places() const { return places_; }
  [[nodiscard]] int batch() const { return batch_; }
  /// Returns the number of samples that are computed for `samples`: plans are made for few numbers of them.
  [[nodiscard]] int computed(int samples) const;

  Network& network;
  GraphCache graphs;
  std::unique_ptr<Trajectory> trajectory;
  /// The batch's step; it is declared before the GPU memory below, so that its pinned memory is freed after that, whose
  /// freeing waits for queued work.
  std::unique_ptr<BatchStep> batch_step;

 private:
  /// Returns the operands of the norm before a layer, if the layer may compute it on the way.
  [[nodiscard]] const NormOperands* norm_before(std::size_t index) const;
  /// Lists layers that have an alternative way for `batch` samples.
  [[nodiscard]] std::vector<std::size_t> layers_with_ways(int batch) const;
  void choose_way(std::size_t index, int batch, Way way);
  /// Chooses ways by the rule: small maps have a kernel that includes the norm, wherever it supports the shape.
  void choose_ways(int batch);
  /// Chooses ways by measurement, where that is wanted.
  void measure_ways(int batch);
  /// Returns whether another layer does the work of this one.
  [[nodiscard]] bool is_taken_over(std::size_t index, int batch) const;
  /// Returns the sum that the convolution before layer `index`, a norm, leaves to it.
  [[nodiscard]] std::optional<UnfinishedSum> left_to(std::size_t index, const RunContext& run) const;
  void queue_layer(std::size_t index, const RunContext& run) const;
  /// Queues a layer, and waits for it where that is wanted.
  void run_layer(std::size_t index, const RunContext& run) const;
  /// Queues a layer that runs beside the following ones.
  void fork(std::size_t index, const RunContext& run) const;
  /// Makes the following work wait for the layers whose results layer `index` reads.
  void join(std::size_t index) const;
  /// Measures the seconds of `work` on the GPU, repeated as often as a measurement needs.
  [[nodiscard]] double seconds_of(const std::function<void()>& work) const;
  void profile(const Evaluation& evaluation, double* node_seconds) const;
  /// Makes an evaluation add its sums to memory that nobody reads, which lives as long as the result.
  [[nodiscard]] DeviceMemory divert_sums(Evaluation* evaluation) const;
  void plan_products(int batch);
  void ensure_scratch(int batch);
  void warm_up(int batch);

  int batch_;
  /// Images and outputs in the layout of maps.
  std::vector<DeviceMemory> borders_;
  std::vector<unsigned char*> places_;
  DeviceMemory scratch_;
  /// Memory and events of layers that run beside others.
  DeviceMemory side_scratch_;
  struct Branch {
    Event start{EventUse::kOrder};
    Event end{EventUse::kOrder};
  };
  std::map<std::size_t, Branch> branches_;
  std::set<int> prepared_;
};

}  // namespace dpm::cuda
