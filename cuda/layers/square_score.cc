#include "cuda/kernels/square_score.h"

#include "backend/bindings.h"
#include "cuda/kernels/convert.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

template <typename T>
class SquareScoreLayer : public Layer {
 public:
  SquareScoreLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        out_(factory.value(output_of(node))),
        has_weight_rest_(kImageTerms<T> > 1 && is_bound(factory.value(input_of(node, 2)).shape)) {}

  void run(const RunContext& context) const override {
    const Map<const T> weight = context.map<const T>(operands_.input(2));
    SquareScoreArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.target = context.map<const T>(operands_.input(1));
    if (operands_.input(3) >= 0) a.compared = context.map<const T>(operands_.input(3));
    a.weight = weight.data;
    if (has_weight_rest_) a.weight_rest = weight.data + 1;
    a.weight_stride = weight.sample_stride;
    a.y = context.map<T>(operands_.output());
    a.batch = context.batch;
    a.pixels = static_cast<int>(out_.pixels());
    a.channels = out_.shape.channels;
    a.padded_channels = stored_channels(out_);
    square_score(a, context.stream);
  }

 private:
  Operands operands_;
  ValueInfo out_;
  bool has_weight_rest_;
};

}  // namespace

std::unique_ptr<Layer> make_square_score(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<SquareScoreLayer>(factory, node);
}

}  // namespace dpm::cuda
