// A network loaded on a device: its graph after fusion, its plan, its executable.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/device.h"
#include "graph/graph.h"
#include "graph/passes/derivatives.h"
#include "graph/planner.h"

namespace dpm {

struct NetworkInfo {
  std::uint64_t parameters = 0;
  std::uint64_t multiply_adds = 0;
  std::size_t nodes = 0;
  std::uint64_t weight_bytes = 0;  ///< what the device has packed the weights into
  std::uint64_t row_bytes = 0;     ///< of the maps of one sample
};

/// Sizes of one sample, in elements.
struct NetworkShape {
  std::uint64_t image = 0;
  std::uint64_t out = 0;
  std::uint64_t head = 0;  ///< 0: no second output
  int classes = 0;         ///< 0: takes no labels
};

struct NodeTime {
  std::string name;
  double milliseconds = 0;
  std::uint64_t multiply_adds = 0;
};

/// The tensors of one evaluation. Those that the network does not have are left alone.
struct Evaluation {
  std::uint32_t batch = 0;  ///< at most what was reserved
  dpm_view image{};
  dpm_view time{};
  dpm_view labels{};  ///< may be absent: no sample has one
  dpm_view out{};
  dpm_view head{};

  // Of derivatives: what is pulled back or pushed forward, and what comes of it.
  dpm_view out_cotangent{};
  dpm_view head_cotangent{};
  dpm_view image_cotangent{};
  dpm_view image_tangent{};
  dpm_view out_tangent{};
  dpm_view head_tangent{};
};

/// What a network computes beside its outputs.
enum class Derivative {
  kNone,
  kPullback,     ///< cotangents of the outputs pulled back to the image: J^T v
  kPushforward,  ///< a tangent of the image pushed forward to the outputs: J v
  kLabelScore,   ///< of a classifier, the derivative of ln p(label) by the image
};

/// What a graph does not say about its network.
struct NetworkOptions {
  int classes = 0;               ///< of labels; 0: takes none
  bool divides_by_time = false;  ///< the output is divided by the time, as in variance exploding networks
  std::vector<float> divisors;   ///< or by this table's row of the truncated time; empty for neither
  Derivative derivative = Derivative::kNone;
  graph::Recompute recompute = graph::Recompute::kNone;  ///< of kPullback and kLabelScore
};

class Network {
 public:
  /// Validates, fuses and packs `graph`, whose constants have to stay where they are until then. Throws as validate and
  /// the device do.
  Network(std::shared_ptr<Device> device, graph::Graph graph, NetworkOptions options);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  [[nodiscard]] const NetworkInfo& info() const { return info_; }
  [[nodiscard]] const NetworkShape& shape() const { return shape_; }
  [[nodiscard]] Derivative derivative() const { return options_.derivative; }
  /// After fusion; constants have their shapes, no data. Does not change.
  [[nodiscard]] const graph::Graph& graph() const { return graph_; }
  [[nodiscard]] Device& device() const { return *device_; }

  /// Makes evaluations of up to `batch` samples possible without further allocation. Where that fails, what was
  /// reserved before stays.
  void reserve(int batch);
  /// One evaluation of at most the reserved batch; `times` are those that lie in it.
  void evaluate(const Evaluation& evaluation, const float* times);
  /// Whether evaluations of some numbers of rows compute others beside them.
  [[nodiscard]] bool pads() const;
  /// Rows that an evaluation of at most the reserved batch computes.
  [[nodiscard]] std::uint32_t padded(std::uint32_t rows) const;
  /// Whether the device takes whole trajectories.
  [[nodiscard]] bool runs_trajectories() const;
  /// Makes a trajectory of at most the reserved batch ready (dpm_backend::begin). Throws Error(kArgument) when a record
  /// is out of range or uses a tensor that is absent.
  void begin(const dpm_trajectory& trajectory);
  /// Runs its next `steps`.
  void advance(std::uint32_t steps, bool wait);
  /// Whether the device takes whole steps of batches that samples join and leave.
  [[nodiscard]] bool takes_steps() const;
  /// Queues one, of at most the reserved batch, and returns when the one before it is done (dpm_backend::step): the
  /// seconds of the owner's steps that are done and have not been told of. Throws Error(kArgument) as `begin` does, and
  /// where samples, rows or records do not belong together.
  double step(const dpm_step& step);
  /// Waits for the last one, and returns the same.
  double settle(const void* owner);
  /// Median time per node over `repeats` evaluations of zeros. Throws Error(kClosed) once `stopping` is set.
  std::vector<NodeTime> profile(int batch, int repeats, const std::atomic<bool>& stopping);
  /// Median seconds of an evaluation of zeros at each of these batches, over `repeats` after one that warms up; keeps
  /// no memory for them. Throws Error(kClosed) once `stopping` is set.
  std::vector<double> measure(const std::vector<std::uint32_t>& batches, int repeats,
                              const std::atomic<bool>& stopping);

 private:
  /// Which tensor is which binding; an evaluation goes by this list.
  void find_bindings();
  void run(const Evaluation& evaluation, double* node_seconds);
  /// Elements of a sample of the tensor that is binding `index`.
  [[nodiscard]] std::uint64_t elements(std::size_t index) const;
  /// Gives `work` an evaluation of `batch` samples of zeros.
  void with_zeros(int batch, const std::function<void(const Evaluation&)>& work);
  [[nodiscard]] bool divides() const { return options_.divides_by_time || !options_.divisors.empty(); }
  [[nodiscard]] float divisor(float time) const;
  /// Divides a tensor of the outputs by what belongs to each sample's time.
  void divide(const dpm_view& output, std::uint64_t elements, std::uint32_t batch, const float* times);
  void compile(int batch);
  void release_executable();

  std::shared_ptr<Device> device_;
  graph::Graph graph_;
  graph::MemoryPlan plan_;
  NetworkInfo info_;
  NetworkShape shape_;
  /// Per binding of the graph: where an evaluation has its tensor, and the tensor of the evaluation in progress.
  std::vector<dpm_view Evaluation::*> tensors_;
  std::vector<dpm_view> views_;
  NetworkOptions options_;
  std::vector<dpm_record> division_records_;
  std::vector<dpm_update_sample> division_samples_;
  dpm_network* network_ = nullptr;
  dpm_executable* executable_ = nullptr;
  std::shared_ptr<Buffer> arena_;
  int reserved_ = 0;
};

}  // namespace dpm
