// The layer: a node of the graph prepared to run on a GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "backend/node.h"
#include "cuda/device/device.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"
#include "cuda/layers/moving_weights.h"
#include "cuda/layers/weights.h"

namespace dpm::cuda {

/// Properties of a graph's value and its place in its storage.
struct ValueInfo {
  dpm_value shape{};
  int root = -1;                  ///< value whose storage is used
  int first_channel = 0;          ///< first channel in the root's storage
  std::int64_t pixel_stride = 0;  ///< number of stored channels, padded for external values
  bool is_float = false;          ///< tells whether it is float32, for any type of the networks
  int sum = -1;                   ///< index among the values that are sums over rows, -1 for all others
  [[nodiscard]] std::int64_t pixels() const { return std::int64_t{shape.height} * shape.width; }
};

/// Returns the channels that products read of a value. Those of a bound one are padded to the end of its pixels,
/// because no other value has channels there.
int stored_channels(const ValueInfo& value);

std::vector<ValueInfo> infos_of(const dpm_graph& graph, const DeviceSettings& settings);

/// The sum that a convolution leaves to the norm right after it. Addresses are null for absent operands.
struct UnfinishedSum {
  const void* x = nullptr;  ///< products of the convolution
  std::int64_t x_pixel_stride = 0;
  const float* bias = nullptr;
  const void* vector = nullptr;
  std::int64_t vector_stride = 0;
  const void* residual = nullptr;
  std::int64_t residual_pixel_stride = 0;
  float scale = 1;
};

/// An evaluation that is being queued.
struct RunContext {
  const std::vector<ValueInfo>& values;
  /// Addresses of every value's storage, null for times and labels.
  const std::vector<unsigned char*>& places;
  cudaStream_t stream = nullptr;
  /// `batch` is the number of samples that are computed, `samples` the number of real ones among them: the others have
  /// undefined contents.
  int batch = 0;
  int samples = 0;
  void* scratch = nullptr;
  const float* time = nullptr;
  const std::int32_t* labels = nullptr;
  /// Addresses of the sums over rows, float32 in row-major order, to which layers add those of `samples`.
  float* const* sums = nullptr;
  /// Convolutions use our own kernel, whose result does not depend on the batch.
  bool without_plans = false;
  /// Set for a convolution that leaves its unfinished sum to the next norm.
  bool leaves_sum = false;
  /// Sum that a norm has to finish first, if `x` is there.
  UnfinishedSum unfinished = {};

  template <typename T>
  [[nodiscard]] Map<T> map(int value) const {
    if (value < 0) return {nullptr, 0, 0};
    const ValueInfo& info = values[static_cast<std::size_t>(value)];
    auto* root = reinterpret_cast<T*>(places[static_cast<std::size_t>(info.root)]);
    return {root + info.first_channel, info.pixel_stride, info.pixel_stride * info.pixels()};
  }
  /// Fills in the sizes of what a kernel goes over: all pixels of maps of this shape.
  template <typename Arguments>
  void fill_sizes(Arguments& a, const dpm_value& shape) const {
    a.batch = batch;
    a.pixels = shape.height * shape.width;
    a.channels = shape.channels;
  }
  /// Returns the address of a sum over rows.
  [[nodiscard]] float* sum(int value) const { return sums[values[static_cast<std::size_t>(value)].sum]; }
};

/// Operands of a norm, for a convolution that computes it on the way.
struct NormOperands {
  int x = -1;
  int scale_shift = -1;
  int vector = -1;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  const float* bias = nullptr;
  int groups = 0;
  float epsilon = 0;
  bool silu = false;
};

/// The way in which a layer computes a batch.
enum class Way {
  kUsual,
  /// one kernel for small maps, together with the norm before it
  kSmall,
};

class Layer {
 public:
  Layer() = default;
  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  /// Adds the products that `prepare` will ask for.
  virtual void list_products(int /*batch*/, std::vector<ConvolutionProblem>* /*problems*/) const {}
  /// Prepares runs of `batch` samples.
  virtual void prepare(int /*batch*/) {}
  /// Makes runs of `batch` samples use our own kernels from now on; returns false where they already do.
  virtual bool refuse_plan(int /*batch*/) { return false; }
  /// Queues what depends on weights alone once more, after these were packed again.
  virtual void follow_weights() {}
  /// Memory that `follow_weights` writes; null: none.
  [[nodiscard]] virtual const void* follower() const { return nullptr; }
  /// Returns the operands if the layer is a norm.
  [[nodiscard]] virtual const NormOperands* norm() const { return nullptr; }
  /// Returns whether the layer can compute `context.batch` samples in that way. `norm` is the norm before it, if the
  /// layer is its only reader.
  [[nodiscard]] virtual bool has_way(Way way, const NormOperands* /*norm*/, const RunContext& /*context*/) const {
    return way == Way::kUsual;
  }
  /// Returns the sum that a run can leave to a norm, if the layer is a convolution and has anything to leave.
  [[nodiscard]] virtual std::optional<UnfinishedSum> unfinished(const RunContext& /*context*/) const { return {}; }
  /// Returns whether a run with `context.unfinished` is possible.
  [[nodiscard]] virtual bool completes(const RunContext& /*context*/) const { return false; }
  /// Chooses a way that the layer has for runs of `batch` samples.
  virtual void choose(int /*batch*/, Way /*way*/, const NormOperands* /*norm*/) {}
  /// Returns the bytes of scratch memory that a run of `batch` samples, prepared before, needs.
  [[nodiscard]] virtual std::size_t scratch_bytes(int /*batch*/) const { return 0; }
  /// Queues one run.
  virtual void run(const RunContext& context) const = 0;
};

/// Weights in the order in which a layer reads them; other networks of the device may have the same.
using Packed = std::shared_ptr<const DeviceMemory>;

/// Returns the address of weights, null without any.
template <typename T>
const T* address(const Packed& packed) {
  return packed ? packed->as<T>() : nullptr;
}

/// Inputs for making layers: the device, the graph, the values; and the list of the weights that move, which grows.
struct LayerFactory {
  Device& device;
  const dpm_graph& graph;
  const std::vector<ValueInfo>& values;
  std::vector<MovingWeights>& moving;

  [[nodiscard]] const ValueInfo& value(int index) const { return values[static_cast<std::size_t>(index)]; }
  /// Packs constants as float32, one after the other, with zeros up to `length` elements.
  [[nodiscard]] Packed vectors(const std::int32_t* constants, std::uint32_t count, std::size_t length) const;
  /// Packs the weights of a convolution by pack_weights, with `split` by split_weights too, in the networks' type.
  [[nodiscard]] Packed weights(const dpm_node& node, const PackedShape& shape, bool split = false) const;
  /// Packs a table of rows in the networks' type.
  [[nodiscard]] Packed table(const dpm_node& node) const;
  /// Packs a table of one number per channel and pixel as float32, laid out like maps: channels adjacent.
  [[nodiscard]] Packed positions(const dpm_node& node) const;
  /// Copies values to the GPU as float32.
  [[nodiscard]] DeviceMemory floats(const std::vector<float>& values) const;
  /// Copies values to the GPU in the networks' type.
  [[nodiscard]] DeviceMemory stored(const std::vector<float>& values) const;
};

std::unique_ptr<Layer> make_convolution(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_prediction(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_linear(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_group_norm(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_attention(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_layer_norm(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_geglu(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_dropout(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_channelwise(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_concat(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_view(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_activation_backward(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_norm_derivative(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_norm_vector(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_attention_derivative(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_resample(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_separable(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_embedding(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_convolution_weights(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_row_sum(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_square_score(const LayerFactory& factory, const dpm_node& node);

/// Makes the layer of `node`. Throws Error(kUnsupported).
std::unique_ptr<Layer> make_layer(const LayerFactory& factory, const dpm_node& node);

/// Returns whether make_layer can make the layer of `node`.
bool supports(const Device& device, const dpm_graph& graph, const dpm_node& node);

/// Makes a layer of class template `Of` in the device's storage type.
template <template <typename> class Of>
std::unique_ptr<Layer> make_stored(const LayerFactory& factory, const dpm_node& node) {
  return with_storage(factory.device.settings.dtype, [&](auto type) -> std::unique_ptr<Layer> {
    return std::make_unique<Of<decltype(type)>>(factory, node);
  });
}

}  // namespace dpm::cuda
