#include "cuda/kernels/dropout.h"

#include "backend/node.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

template <typename T>
class DropoutLayer : public Layer {
 public:
  DropoutLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        shape_(factory.value(output_of(node)).shape),
        dropout_(dropout_of(dropout_attributes_of(node))) {}

  void run(const RunContext& context) const override {
    const Map<const T> bytes = context.map<const T>(operands_.input(1));
    DropoutArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.y = context.map<T>(operands_.output());
    a.bytes = bytes.data;
    a.bytes_stride = bytes.sample_stride;
    context.fill_sizes(a, shape_);
    a.dropout = dropout_;
    dropout(a, context.stream);
  }

 private:
  Operands operands_;
  dpm_value shape_;
  Dropout dropout_;
};

}  // namespace

std::unique_ptr<Layer> make_dropout(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<DropoutLayer>(factory, node);
}

}  // namespace dpm::cuda
