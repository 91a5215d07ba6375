#include "cuda/kernels/row_sum.h"

#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

template <typename T>
class RowSumLayer : public Layer {
 public:
  RowSumLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), shape_(factory.value(input_of(node, 0)).shape) {}

  void run(const RunContext& context) const override {
    row_sum(RowSumArguments<T>{context.map<const T>(operands_.input(0)), context.sum(operands_.output()),
                               context.samples, shape_.height * shape_.width, shape_.channels},
            context.stream);
  }

 private:
  Operands operands_;
  dpm_value shape_;
};

}  // namespace

std::unique_ptr<Layer> make_row_sum(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<RowSumLayer>(factory, node);
}

}  // namespace dpm::cuda
