#include "cuda/kernels/separable.h"

#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

template <typename T>
class SeparableLayer : public Layer {
 public:
  SeparableLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        in_(factory.value(input_of(node, 0)).shape),
        out_(factory.value(output_of(node)).shape),
        matrices_(factory.vectors(node.weights, 2, row_factors() + column_factors())) {}

  void run(const RunContext& context) const override {
    SeparableArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.y = context.map<T>(operands_.output());
    a.batch = context.batch;
    a.x_height = in_.height;
    a.x_width = in_.width;
    a.height = out_.height;
    a.width = out_.width;
    a.channels = out_.channels;
    a.rows = address<float>(matrices_);
    a.columns = a.rows + row_factors();
    separable(a, context.stream);
  }

 private:
  [[nodiscard]] std::size_t row_factors() const {
    return static_cast<std::size_t>(out_.height) * static_cast<std::size_t>(in_.height);
  }
  [[nodiscard]] std::size_t column_factors() const {
    return static_cast<std::size_t>(out_.width) * static_cast<std::size_t>(in_.width);
  }

  Operands operands_;
  dpm_value in_;
  dpm_value out_;
  Packed matrices_;
};

}  // namespace

std::unique_ptr<Layer> make_separable(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<SeparableLayer>(factory, node);
}

}  // namespace dpm::cuda
