#include "cuda/dnn/convolution_graph.h"

#include <array>
#include <numeric>
#include <utility>
#include <vector>

#include "core/error.h"
#include "cuda/dnn/operations.h"

namespace dpm::cuda {
namespace {

constexpr std::int64_t kFirstVirtualId = 100;

/// Describes a dense or strided NHWC image as cuDNN's (batch, channels, height, width).
TensorSpec image(const char* what, std::int64_t id, std::array<std::int64_t, 4> nchw, std::int64_t pixel_stride,
                 DType dtype) {
  const std::int64_t row = nchw[3] * pixel_stride;
  return {.what = what,
          .id = id,
          .dimensions = nchw,
          .strides = {nchw[2] * row, 1, row, pixel_stride},
          .type = cudnn_type(dtype),
          .alignment = image_alignment(pixel_stride, dtype)};
}

/// Describes the input of the problem.
TensorSpec input_of(const ConvolutionProblem& p) {
  return image("input tensor", kTensorX, {p.batch, p.in_channels, p.in_height, p.in_width}, p.in_pixel_stride, p.dtype);
}

TensorSpec output_of(const ConvolutionProblem& p) {
  return image("output tensor", kTensorOut, {p.batch, p.out_channels, p.out_height, p.out_width}, p.out_pixel_stride,
               p.dtype);
}

/// Describes weights that are (to, ky, kx, from) in memory.
TensorSpec weights(const ConvolutionProblem& p, int to, int from) {
  return image("weight tensor", kTensorW, {to, from, p.kernel, p.kernel}, from, p.dtype);
}

Descriptor convolution_kind(const CudnnLibrary& library, const AdjointConvolution& how) {
  Descriptor kind(library, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "convolution");
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const auto both = [&](cudnnBackendAttributeName_t name, std::int64_t value) {
    const std::array values{value, value};
    kind.set(name, std::span<const std::int64_t>(values));
  };
  kind.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  kind.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  kind.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2});
  both(CUDNN_ATTR_CONVOLUTION_DILATIONS, 1);
  both(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, how.stride);
  both(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, how.pad_before);
  both(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, how.pad_after);
  kind.finalize();
  return kind;
}

/// cuDNN's names of the parts of a convolution of one direction.
struct ConvolutionNames {
  const char* what;
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t from, weight, to, kind, alpha, beta;
};

constexpr ConvolutionNames kForward{"convolution operation",
                                    CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
constexpr ConvolutionNames kDataGradient{"data gradient",
                                         CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                                         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                                         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                                         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};

constexpr ConvolutionNames kWeightGradient{"weight gradient",
                                           CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};

Descriptor convolution_operation(const CudnnLibrary& library, const ConvolutionNames& names, const Descriptor& from,
                                 const Descriptor& weight, const Descriptor& to, const Descriptor& kind) {
  Descriptor operation(library, names.operation, names.what);
  operation.set(names.from, from);
  operation.set(names.weight, weight);
  operation.set(names.to, to);
  operation.set(names.kind, kind);
  operation.set(names.alpha, 1.0F);
  operation.set(names.beta, 0.0F);
  operation.finalize();
  return operation;
}

/// A builder that adds operations one after another; each but the last writes a float32 tensor that is never in memory.
class GraphBuilder {
 public:
  GraphBuilder(const CudnnLibrary& library, const ConvolutionProblem& problem, unsigned parts)
      : library_(library),
        problem_(problem),
        parts_left_(parts),
        shape_{problem.batch, problem.out_channels, problem.out_height, problem.out_width},
        value_(next_value()) {
    add_convolution();
  }

  void add_bias() {
    const std::int64_t k = problem_.out_channels;
    const TensorSpec bias{.what = "bias tensor",
                          .id = kTensorBias,
                          .dimensions = {1, k, 1, 1},
                          .strides = {k, 1, k, k},
                          .type = CUDNN_DATA_FLOAT};
    add_part(kPartBias, CUDNN_POINTWISE_ADD, &bias, "bias addition");
  }

  void add_residual() {
    const TensorSpec residual =
        image("residual tensor", kTensorResidual, shape_, problem_.residual_pixel_stride, problem_.dtype);
    add_part(kPartResidual, CUDNN_POINTWISE_ADD, &residual, "residual addition");
  }

  void add_scale() {
    const TensorSpec scale{.what = "scale",
                           .id = kTensorScale,
                           .dimensions = {1, 1, 1, 1},
                           .strides = {1, 1, 1, 1},
                           .type = CUDNN_DATA_FLOAT,
                           .alignment = 4,
                           .by_value = true};
    add_part(kPartScale, CUDNN_POINTWISE_MUL, &scale, "scaling");
  }

  void add_silu() { add_part(kPartSilu, CUDNN_POINTWISE_SWISH_FWD, nullptr, "activation"); }

  Descriptor finish(const PlanTarget& target) { return make_graph(library_, operations_, target); }

 private:
  /// Returns the tensor that the next operation writes: the output when no part is left after it.
  Descriptor next_value() {
    TensorSpec spec = output_of(problem_);
    if (parts_left_ != 0) {
      spec =
          image("intermediate tensor", kFirstVirtualId + parts_left_, shape_, problem_.out_channels, DType::kFloat32);
      spec.is_virtual = true;
    }
    return make_tensor(library_, spec);
  }

  void add_part(unsigned part, cudnnPointwiseMode_t mode, const TensorSpec* operand, const char* what) {
    if ((parts_left_ & part) == 0) return;
    parts_left_ &= ~part;
    Descriptor result = next_value();
    if (operand == nullptr) {
      operations_.push_back(make_pointwise(library_, mode, value_, nullptr, result, what));
    } else {
      const Descriptor b = make_tensor(library_, *operand);
      operations_.push_back(make_pointwise(library_, mode, value_, &b, result, what));
    }
    value_ = std::move(result);
  }

  void add_convolution() {
    const ConvolutionProblem& p = problem_;
    const Descriptor x = make_tensor(library_, input_of(p));
    const Descriptor w = make_tensor(library_, weights(p, p.out_channels, p.in_channels));
    const Descriptor kind = convolution_kind(library_, {p.stride, p.pad_before, p.pad_after});
    operations_.push_back(convolution_operation(library_, kForward, x, w, value_, kind));
  }

  const CudnnLibrary& library_;
  const ConvolutionProblem& problem_;
  unsigned parts_left_;
  std::array<std::int64_t, 4> shape_;
  Descriptor value_;
  std::vector<Descriptor> operations_;
};

}  // namespace

std::int64_t image_alignment(std::int64_t pixel_stride, DType dtype) {
  return std::gcd(std::int64_t{16}, pixel_stride * static_cast<std::int64_t>(dtype_size(dtype)));
}

Descriptor make_convolution_graph(const CudnnLibrary& library, const ConvolutionProblem& problem, unsigned parts,
                                  const PlanTarget& target) {
  GraphBuilder builder(library, problem, parts);
  builder.add_bias();
  builder.add_residual();
  builder.add_scale();
  builder.add_silu();
  return builder.finish(target);
}

Descriptor make_data_gradient_graph(const CudnnLibrary& library, const ConvolutionProblem& problem,
                                    const PlanTarget& target) {
  const std::optional<AdjointConvolution> adjoint = adjoint_of(problem);
  if (!adjoint) throw Error(ErrorCode::kUnsupported, "the convolution is no data gradient: " + problem_key(problem));
  const Descriptor dy = make_tensor(library, input_of(problem));
  const Descriptor w = make_tensor(library, weights(problem, problem.in_channels, problem.out_channels));
  const Descriptor dx = make_tensor(library, output_of(problem));
  const Descriptor kind = convolution_kind(library, *adjoint);
  const Descriptor operation = convolution_operation(library, kDataGradient, dy, w, dx, kind);
  return make_graph(library, std::span<const Descriptor>(&operation, 1), target);
}

Descriptor make_weight_gradient_graph(const CudnnLibrary& library, const ConvolutionProblem& problem,
                                      const PlanTarget& target) {
  if (problem.zero_upsample) throw Error(ErrorCode::kUnsupported, "there are no zeros in a weight gradient's input");
  const Descriptor x = make_tensor(library, input_of(problem));
  const Descriptor dw = make_tensor(library, weights(problem, problem.out_channels, problem.in_channels));
  const Descriptor dy = make_tensor(library, output_of(problem));
  const Descriptor kind = convolution_kind(library, {problem.stride, problem.pad_before, problem.pad_after});
  const Descriptor operation = convolution_operation(library, kWeightGradient, x, dw, dy, kind);
  return make_graph(library, std::span<const Descriptor>(&operation, 1), target);
}

}  // namespace dpm::cuda
