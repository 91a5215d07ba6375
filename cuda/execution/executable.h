// A network with its memory for a batch, and the graphs of what has been run with it.
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

/// Where an evaluation reads and writes.
struct Evaluation {
  int batch = 0;
  /// Image n is row n of x, or what samples[n] says (LoadImageArguments).
  Rows x{};
  Rows y{};
  const UpdateSample* samples = nullptr;
  const float* time = nullptr;
  const std::int32_t* labels = nullptr;
  Rows out{};
  Rows head{};
  /// Of the network's `given` and `derived`.
  std::array<Rows, kMostDerivatives> given{};
  std::array<Rows, kMostDerivatives> derived{};
};

struct Executable : Buried {
  Executable(Network& owner, const dpm_plan& plan);
  ~Executable() override;

  /// One evaluation; with `node_seconds`, also the time of every layer on the card.
  void run(const dpm_bindings& bindings, double* node_seconds);

  /// Makes evaluations of `samples` possible: plans, scratch memory, and one run, after which the libraries have
  /// loaded all that they need. To be called before a capture.
  void prepare(int samples);
  /// Queues an evaluation that was prepared.
  void queue(const Evaluation& evaluation) const;
  /// The same in parts. Layers write and read `places`; without conditions those are left out that depend on times and
  /// labels alone.
  void load_inputs(const Evaluation& evaluation) const;
  void queue_layers(const Evaluation& evaluation, const std::vector<unsigned char*>& places, bool conditions) const;
  void store_outputs(const Evaluation& evaluation) const;

  /// What layers are given for an evaluation.
  [[nodiscard]] RunContext context(const Evaluation& evaluation, const std::vector<unsigned char*>& places) const;
  /// Where every value's storage begins, null for times and labels.
  [[nodiscard]] const std::vector<unsigned char*>& places() const { return places_; }
  [[nodiscard]] int batch() const { return batch_; }
  /// Samples that are computed for `samples`: plans are made for few numbers of them.
  [[nodiscard]] int computed(int samples) const;

  Network& network;
  GraphCache graphs;
  std::unique_ptr<Trajectory> trajectory;
  /// Its pinned memory goes after the card's below, the freeing of which waits for what is on its way.
  std::unique_ptr<BatchStep> batch_step;

 private:
  /// What the norm before a layer does, if the layer may do it in passing.
  [[nodiscard]] const NormOperands* norm_before(std::size_t index) const;
  /// Layers that have another way than the usual one for `batch` samples.
  [[nodiscard]] std::vector<std::size_t> layers_with_ways(int batch) const;
  void choose_way(std::size_t index, int batch, Way way);
  /// By the rule: small maps have a kernel that takes the norm over, wherever it takes the shape.
  void choose_ways(int batch);
  /// By measurement, where that is wanted.
  void measure_ways(int batch);
  /// Whether another layer does the work of this one.
  [[nodiscard]] bool is_taken_over(std::size_t index, int batch) const;
  /// What the convolution before layer `index`, a norm, leaves to it.
  [[nodiscard]] std::optional<UnfinishedSum> left_to(std::size_t index, const RunContext& run) const;
  void queue_layer(std::size_t index, const RunContext& run) const;
  /// The same, waited for where that is wanted.
  void run_layer(std::size_t index, const RunContext& run) const;
  /// Queues a layer that runs beside those that follow.
  void fork(std::size_t index, const RunContext& run) const;
  /// Has what follows wait for the layers whose results layer `index` reads.
  void join(std::size_t index) const;
  /// Of `work` on the card, done as often as it takes to measure it.
  [[nodiscard]] double seconds_of(const std::function<void()>& work) const;
  void profile(const Evaluation& evaluation, double* node_seconds) const;
  void plan_products(int batch);
  void ensure_scratch(int batch);
  void warm_up(int batch);

  int batch_;
  /// Images and outputs in the layout of maps.
  std::vector<DeviceMemory> borders_;
  std::vector<unsigned char*> places_;
  DeviceMemory scratch_;
  /// Layers that run beside others have memory of their own, and events.
  DeviceMemory side_scratch_;
  struct Branch {
    Event start{EventUse::kOrder};
    Event end{EventUse::kOrder};
  };
  std::map<std::size_t, Branch> branches_;
  std::set<int> prepared_;
};

}  // namespace dpm::cuda
