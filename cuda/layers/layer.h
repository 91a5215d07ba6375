// A node of the graph made ready to run on a card.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "backend/node.h"
#include "cuda/device/device.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// What a value of the graph is and where in its storage it lies.
struct ValueInfo {
  dpm_value shape{};
  int root = -1;                  ///< value whose storage it uses
  int first_channel = 0;          ///< in that
  std::int64_t pixel_stride = 0;  ///< channels that are stored, padded for external values
  bool is_float = false;          ///< float32 whatever the networks' type is
  [[nodiscard]] std::int64_t pixels() const { return std::int64_t{shape.height} * shape.width; }
};

std::vector<ValueInfo> infos_of(const dpm_graph& graph, const DeviceSettings& settings);

/// What a convolution leaves to the norm right after it. Addresses are null for what there is not.
struct UnfinishedSum {
  const void* x = nullptr;  ///< the products
  std::int64_t x_pixel_stride = 0;
  const float* bias = nullptr;
  const void* vector = nullptr;
  std::int64_t vector_stride = 0;
  const void* residual = nullptr;
  std::int64_t residual_pixel_stride = 0;
  float scale = 1;
};

/// One evaluation that is being queued.
struct RunContext {
  const std::vector<ValueInfo>& values;
  /// Where every value's storage begins, null for times and labels.
  const std::vector<unsigned char*>& places;
  cudaStream_t stream = nullptr;
  /// Samples that are computed, and how many of them there are: the others are whatever lies there.
  int batch = 0;
  int samples = 0;
  void* scratch = nullptr;
  const float* time = nullptr;
  const std::int32_t* labels = nullptr;
  /// Convolutions are those of our own kernel, which does not depend on the batch.
  bool without_plans = false;
  /// For a convolution: it leaves what it says to be unfinished.
  bool leaves_sum = false;
  /// For a norm: what it has to finish first, if `x` is there.
  UnfinishedSum unfinished = {};

  template <typename T>
  [[nodiscard]] Map<T> map(int value) const {
    if (value < 0) return {nullptr, 0, 0};
    const ValueInfo& info = values[static_cast<std::size_t>(value)];
    auto* root = reinterpret_cast<T*>(places[static_cast<std::size_t>(info.root)]);
    return {root + info.first_channel, info.pixel_stride, info.pixel_stride * info.pixels()};
  }
};

/// What a norm has to do, for a convolution that does it in passing.
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

/// How a layer computes a batch.
enum class Way {
  kUsual,
  /// In one kernel for small maps, together with the norm before it.
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
  /// Makes runs of `batch` samples possible.
  virtual void prepare(int /*batch*/) {}
  /// Has runs of `batch` samples done by our own kernels from now on; false where they already are.
  virtual bool refuse_plan(int /*batch*/) { return false; }
  /// Of a norm.
  [[nodiscard]] virtual const NormOperands* norm() const { return nullptr; }
  /// Whether the layer can compute `context.batch` samples in that way. `norm` is that before it, if it alone reads
  /// that.
  [[nodiscard]] virtual bool has_way(Way way, const NormOperands* /*norm*/, const RunContext& /*context*/) const {
    return way == Way::kUsual;
  }
  /// What a run can leave to a norm, if the layer is a convolution that has anything to leave.
  [[nodiscard]] virtual std::optional<UnfinishedSum> unfinished(const RunContext& /*context*/) const { return {}; }
  /// Whether a run with `context.unfinished` is possible.
  [[nodiscard]] virtual bool completes(const RunContext& /*context*/) const { return false; }
  /// Has runs of `batch` samples computed in a way that the layer has.
  virtual void choose(int /*batch*/, Way /*way*/, const NormOperands* /*norm*/) {}
  /// Bytes of scratch memory that a run of `batch` samples, prepared before, needs.
  [[nodiscard]] virtual std::size_t scratch_bytes(int /*batch*/) const { return 0; }
  /// Queues one run.
  virtual void run(const RunContext& context) const = 0;
};

/// What makes layers: the device, the graph, the values.
struct LayerFactory {
  Device& device;
  const dpm_graph& graph;
  const std::vector<ValueInfo>& values;

  [[nodiscard]] const ValueInfo& value(int index) const { return values[static_cast<std::size_t>(index)]; }
  /// A constant, or several, one after the other and zeros up to `length` elements, as float32 on the card.
  [[nodiscard]] DeviceMemory floats(const std::int32_t* constants, std::uint32_t count, std::size_t length) const;
  /// Values as float32 on the card.
  [[nodiscard]] DeviceMemory floats(const std::vector<float>& values) const;
  /// Values in the networks' type on the card.
  [[nodiscard]] DeviceMemory stored(const std::vector<float>& values) const;
};

std::unique_ptr<Layer> make_convolution(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_prediction(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_linear(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_group_norm(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_attention(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_channelwise(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_concat(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_view(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_activation_backward(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_norm_derivative(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_attention_derivative(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_resample(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_separable(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_embedding(const LayerFactory& factory, const dpm_node& node);

/// Makes the layer of `node`. Throws Error(kUnsupported).
std::unique_ptr<Layer> make_layer(const LayerFactory& factory, const dpm_node& node);

/// Whether make_layer can.
bool supports(const Device& device, const dpm_graph& graph, const dpm_node& node);

/// A layer of class template `Of` in the device's storage type.
template <template <typename> class Of>
std::unique_ptr<Layer> make_stored(const LayerFactory& factory, const dpm_node& node) {
  return with_storage(factory.device.settings.dtype, [&](auto type) -> std::unique_ptr<Layer> {
    return std::make_unique<Of<decltype(type)>>(factory, node);
  });
}

}  // namespace dpm::cuda
