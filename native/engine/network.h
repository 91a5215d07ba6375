// A network loaded on a device: its graph after fusion, its plan, its executable.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/gradients.h"
#include "graph/graph.h"
#include "graph/passes/derivatives.h"
#include "graph/planner.h"

namespace dpm {

/// Durations of the parts of loading a network, in seconds.
struct LoadTimes {
  double plan = 0;  ///< checking, deriving and fusing the graph, and planning its memory
  double read = 0;  ///< reading the weights and comparing them with an earlier reading
  double pack = 0;  ///< the device's work
};

struct NetworkInfo {
  std::uint64_t parameters = 0;
  std::uint64_t multiply_adds = 0;
  std::size_t nodes = 0;
  std::uint64_t weight_bytes = 0;  ///< bytes of the packed weights that no other network of the device had before
  std::uint64_t row_bytes = 0;     ///< bytes of the maps of one sample
  LoadTimes load;
};

/// Sizes of one sample, in elements.
struct NetworkShape {
  std::uint64_t image = 0;
  std::uint64_t out = 0;
  std::uint64_t head = 0;  ///< elements of the second output; 0: none
  int classes = 0;         ///< number of classes; 0: takes no labels
  // Elements of what the network sees beside its image; 0: nothing.
  std::uint64_t context = 0;
  std::uint64_t added = 0;
  std::uint64_t guidance = 0;
  std::uint64_t draws = 0;      ///< elements of what dropouts are told of a sample; 0: there are none
  bool shares_context = false;  ///< whether rows can share contexts (Evaluation::groups)
};

struct NodeTime {
  std::string name;
  double milliseconds = 0;
  std::uint64_t multiply_adds = 0;
};

/// The tensors of one evaluation. Tensors that the network does not have are ignored.
struct Evaluation {
  std::uint32_t batch = 0;  ///< number of samples, at most the reserved number
  dpm_view image{};
  dpm_view time{};
  dpm_view labels{};  ///< labels of the samples; absent: no sample has one
  dpm_view out{};
  dpm_view head{};

  // What the network sees beside its image (binding_names.h).
  dpm_view context{};
  dpm_view groups{};  ///< context of each row, uint32, that the tensor of contexts has; absent: row n has context n
  dpm_view added{};
  dpm_view guidance{};

  // Tensors of derivatives: the cotangent or tangent given, and the result.
  dpm_view out_cotangent{};
  dpm_view head_cotangent{};
  dpm_view image_cotangent{};
  dpm_view context_cotangent{};
  dpm_view image_tangent{};
  dpm_view out_tangent{};
  dpm_view head_tangent{};

  // Tensors of a square loss (graph::Seed), whose derivative by the output that it is of is written to the cotangent.
  dpm_view target{};
  dpm_view loss_weight{};  ///< one number per sample

  /// Steps and slots of the samples of a training run, [8] (DPM_OP_DROPOUT); only networks with dropout read them.
  dpm_view draws{};

  /// Tensor of all gradients of constants (Network::gradients), to which an evaluation adds; its stride is 0.
  dpm_view gradients{};
};

/// Derivatives that a network can compute beside its outputs.
enum class Derivative {
  kNone,
  kPullback,     ///< cotangents of the outputs pulled back to the image: J^T v
  kPushforward,  ///< a tangent of the image pushed forward to the outputs: J v
  kLabelScore,   ///< the derivative of a classifier's ln p(label) by the image
  kWeights,      ///< cotangents of the outputs pulled back to constants, summed over the rows
};

/// Properties of a network that its graph does not contain.
struct NetworkOptions {
  int classes = 0;               ///< number of classes of labels; 0: takes no labels
  bool divides_by_time = false;  ///< the output is divided by the time, as in variance exploding networks
  std::vector<float> divisors;   ///< the output is divided by this table's entry for the truncated time; empty: no
                                 ///< table
  Derivative derivative = Derivative::kNone;
  graph::Recompute recompute = graph::Recompute::kNone;  ///< recomputation for all but kPushforward
  bool without_head = false;                             ///< the second output is left out, with what only it takes
  std::vector<int> learned = {};           ///< constants whose gradients kWeights computes; empty: all that have one
  bool pulls_to_image = false;             ///< kWeights computes the image's cotangent, too
  bool pulls_to_context = false;           ///< kWeights computes that of each row's context, too
  graph::Seed seed = graph::Seed::kGiven;  ///< cotangents that kWeights starts from
  float row_weight = 1;                    ///< factor of each row where `seed` is kCrossEntropy
};

class Network {
 public:
  /// Validates, fuses and packs `graph`, whose constants have to stay where they are until then. Throws the errors of
  /// `validate` and of the device.
  Network(std::shared_ptr<Device> device, graph::Graph graph, NetworkOptions options);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  [[nodiscard]] const NetworkInfo& info() const { return info_; }
  [[nodiscard]] const NetworkShape& shape() const { return shape_; }
  [[nodiscard]] Derivative derivative() const { return options_.derivative; }
  [[nodiscard]] bool pulls_to_image() const { return graph_.find_binding(DPM_BINDING_IMAGE_COTANGENT) >= 0; }
  [[nodiscard]] bool pulls_to_context() const { return graph_.find_binding(DPM_BINDING_CONTEXT_COTANGENT) >= 0; }
  /// Gradients of constants that an evaluation adds to Evaluation::gradients.
  [[nodiscard]] const GradientPlaces& gradients() const { return gradients_; }
  /// Graph after fusion, which does not change; its constants have shapes but no data.
  [[nodiscard]] const graph::Graph& graph() const { return graph_; }
  [[nodiscard]] Device& device() const { return *device_; }

  /// Allocates for evaluations of up to `batch` samples. If that fails, the former reservation stays.
  void reserve(int batch);
  /// Packs the weights that have a place among parameters again (dpm_repack). Throws Error(kUnsupported) naming the
  /// device where weights do not move.
  void repack(const dpm_repack& parameters);
  /// Runs one evaluation of at most the reserved batch; `times` holds the same times as its time tensor.
  void evaluate(const Evaluation& evaluation, const float* times);
  /// Returns whether evaluations of some numbers of rows are padded with further rows.
  [[nodiscard]] bool pads() const;
  /// Number of rows that an evaluation of at most the reserved batch computes.
  [[nodiscard]] std::uint32_t padded(std::uint32_t rows) const;
  /// Returns whether the device takes whole trajectories.
  [[nodiscard]] bool runs_trajectories() const;
  /// Prepares a trajectory of at most the reserved batch (dpm_backend::begin). Throws Error(kArgument) when a record is
  /// out of range or uses a tensor that is absent.
  void begin(const dpm_trajectory& trajectory);
  /// Runs the trajectory's next `steps`.
  void advance(std::uint32_t steps, bool wait);
  /// Returns whether the device takes whole steps of batches that samples join and leave.
  [[nodiscard]] bool takes_steps() const;
  /// Queues a step of at most the reserved batch, and returns when the one before it is done (dpm_backend::step). The
  /// result is the seconds of the owner's steps that are done and were not yet reported. Throws Error(kArgument) as
  /// `begin` does, and where samples, rows or records do not belong together.
  double step(const dpm_step& step);
  /// Waits for the last step; returns seconds as `step` does.
  double settle(const void* owner);
  /// Measures the median time per node over `repeats` evaluations of zeros. Throws Error(kClosed) once `stopping` is
  /// set.
  std::vector<NodeTime> profile(int batch, int repeats, const std::atomic<bool>& stopping);
  /// Measures the median seconds of an evaluation of zeros for each of these batches, over `repeats` evaluations after
  /// a warm-up; keeps no memory for them. Throws Error(kClosed) once `stopping` is set.
  std::vector<double> measure(const std::vector<std::uint32_t>& batches, int repeats,
                              const std::atomic<bool>& stopping);

 private:
  /// Has the device pack the weights.
  void load();
  /// Appends the nodes of the derivative.
  void derive();
  /// Throws Error(kUnsupported) naming operation and device where the device lacks an operation of gradients.
  void require_gradients() const;
  /// Finds the tensor of each binding; evaluations use this list.
  void find_bindings();
  void run(const Evaluation& evaluation, double* node_seconds);
  /// Number of elements per sample of the tensor of binding `index`.
  [[nodiscard]] std::uint64_t elements(std::size_t index) const;
  /// Calls `work` with an evaluation of `batch` samples of zeros.
  void with_zeros(int batch, const std::function<void(const Evaluation&)>& work);
  /// Returns whether evaluations take more than an image, times and labels.
  [[nodiscard]] bool sees_more() const { return shape_.context + shape_.added + shape_.guidance > 0; }
  /// Throws Error(kArgument) where an evaluation lacks what the network sees beside its image.
  void require_what_is_seen(const Evaluation& evaluation) const;
  [[nodiscard]] bool divides() const { return options_.divides_by_time || !options_.divisors.empty(); }
  [[nodiscard]] float divisor(float time) const;
  /// Fills the records that divide each sample by the divisor of its time.
  void set_divisions(std::uint32_t batch, const float* times);
  /// Divides a tensor of the outputs by the divisor of each sample's time.
  void divide(const dpm_view& output, std::uint64_t elements, std::uint32_t batch, const float* times);
  /// Throws Error(kArgument) where an evaluation lacks a tensor that gradients of weights take.
  void require_tensors_of_gradients(const Evaluation& evaluation) const;
  /// Returns the evaluation with cotangents of the outputs that are divided as the outputs are. Gradients are sums over
  /// rows, of which each has another divisor.
  Evaluation with_divided_cotangents(const Evaluation& evaluation, const float* times);
  dpm_view divided(const dpm_view& cotangent, std::shared_ptr<Buffer>& to, std::uint64_t elements, std::uint32_t batch,
                   const float* times);
  void compile(int batch);
  void release_executable();

  std::shared_ptr<Device> device_;
  graph::Graph graph_;
  graph::MemoryPlan plan_;
  NetworkInfo info_;
  NetworkShape shape_;
  GradientPlaces gradients_;
  struct BoundTensor {
    dpm_view Evaluation::* tensor;
    std::uint64_t offset = 0;  ///< offset of a constant's gradient
  };
  /// One entry per binding of the graph: the member of Evaluation with its tensor, and the tensor in the evaluation in
  /// progress.
  std::vector<BoundTensor> tensors_;
  std::vector<dpm_view> views_;
  NetworkOptions options_;
  std::vector<dpm_record> division_records_;
  std::vector<dpm_update_sample> division_samples_;
  std::shared_ptr<Buffer> divided_cotangent_;
  std::shared_ptr<Buffer> divided_head_cotangent_;
  dpm_network* network_ = nullptr;
  dpm_executable* executable_ = nullptr;
  std::shared_ptr<Buffer> arena_;
  int reserved_ = 0;
};

}  // namespace dpm
