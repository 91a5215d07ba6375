#include "cuda/kernels/resample.h"

#include "cuda/kernels/fir.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

template <typename T>
class ResampleLayer : public Layer {
 public:
  ResampleLayer(const LayerFactory& factory, const dpm_node& node)
      : op_(static_cast<dpm_op>(node.op)),
        operands_(node),
        padding_(fir_padding_of(node)),
        extension_(fir_extension_of(node)),
        source_(factory.value(input_of(node, 0)).shape),
        shape_(factory.value(output_of(node)).shape) {}

  void run(const RunContext& context) const override {
    ResampleArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.y = context.map<T>(operands_.output());
    a.batch = context.batch;
    a.height = shape_.height;
    a.width = shape_.width;
    a.channels = shape_.channels;
    a.pad = padding_;
    a.extension = extension_;
    switch (op_) {
      case DPM_OP_UPSAMPLE:
        if (shape_.height != 2 * source_.height || shape_.width != 2 * source_.width) {
          return resize(a, source_.height, source_.width, context.stream);
        }
        return upsample(a, context.stream);
      case DPM_OP_ZERO_UPSAMPLE:
        return zero_upsample(a, context.stream);
      case DPM_OP_FIR_UPSAMPLE:
        return fir_upsample(a, context.stream);
      case DPM_OP_FIR_DOWNSAMPLE:
        return fir_downsample(a, context.stream);
      default:
        return average_pool(a, context.stream);
    }
  }

 private:
  dpm_op op_;
  Operands operands_;
  int padding_;
  int extension_;
  dpm_value source_;
  dpm_value shape_;
};

}  // namespace

std::unique_ptr<Layer> make_resample(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<ResampleLayer>(factory, node);
}

}  // namespace dpm::cuda
