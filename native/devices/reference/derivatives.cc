// Operations for derivatives, written from their definitions.
#include <algorithm>
#include <cmath>
#include <vector>

#include "devices/reference/network.h"

namespace dpm::reference {
namespace {

/// Computes one group of a norm's derivative. The Jacobian of the normalisation is symmetric; the channel's factors
/// multiply the input (backward) or the output (tangent).
void norm_group(const Network::Node& layer, const Map* inputs, const Map& out, int group) {
  const dpm_group_norm_attributes& node = layer.attributes.group_norm;
  const bool is_backward = layer.op == DPM_OP_GROUP_NORM_BACKWARD;
  const Map& in = inputs[0];
  const Map vector = layer.operands.input(2) >= 0 ? inputs[2] : Map{};
  const GroupMoments moments = group_moments(node, in, group);
  const int pixels = in.height * in.width;
  const int elements = in.elements() / node.groups;
  const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(group) * elements;
  std::vector<double> normalised(static_cast<std::size_t>(elements));
  std::vector<double> factor(static_cast<std::size_t>(elements));
  std::vector<double> moved(static_cast<std::size_t>(elements));
  double mean = 0;
  double projection = 0;
  for (int i = 0; i < elements; ++i) {
    const auto e = static_cast<std::size_t>(i);
    const auto c = static_cast<int>((first + i) / pixels);
    const ChannelCoefficients channel = channel_coefficients(layer, vector, in.channels, c);
    normalised[e] = (in.data[first + i] - moments.mean) * moments.inverse_deviation;
    factor[e] = channel.scale;
    if (node.silu != 0) factor[e] *= slope(DPM_ACTIVATION_SILU, normalised[e] * channel.scale + channel.shift);
    moved[e] = inputs[1].data[first + i] * (is_backward ? factor[e] : 1.0);
    mean += moved[e] / elements;
    projection += moved[e] * normalised[e] / elements;
  }
  for (int i = 0; i < elements; ++i) {
    const auto e = static_cast<std::size_t>(i);
    const double result = moments.inverse_deviation * (moved[e] - mean - normalised[e] * projection);
    out.data[first + i] = result * (is_backward ? 1.0 : factor[e]);
  }
}

/// Matrix of one head, queries x keys.
using Matrix = std::vector<double>;

/// One head of q, k, v or a tensor that belongs to them: tokens x channels.
class Head {
 public:
  Head(const Map& map, int first_channel) : map_(map), first_(first_channel) {}
  [[nodiscard]] double& at(int token, int channel) const {
    return map_.data[static_cast<std::ptrdiff_t>(first_ + channel) * (map_.height * map_.width) + token];
  }

 private:
  Map map_;
  int first_;
};

class AttentionHead {
  template <typename AnyMatrix>
  auto& at(AnyMatrix& matrix, int row, int column) const {
    return matrix[static_cast<std::size_t>(row) * static_cast<std::size_t>(keys_) + static_cast<std::size_t>(column)];
  }

 public:
  AttentionHead(const Map* inputs, int width, int head, bool causal)
      : q_(inputs[0], head * width), k_(inputs[1], head * width), v_(inputs[2], head * width), width_(width) {
    queries_ = inputs[0].height * inputs[0].width;
    keys_ = inputs[1].height * inputs[1].width;
    scale_ = 1.0 / std::sqrt(static_cast<double>(width));
    weights_ = products(q_, k_);
    for (int i = 0; i < queries_; ++i) softmax(i, causal ? i + 1 : keys_);
  }

  void pull_back(const Head& d, const Head& dq, const Head& dk, const Head& dv) const {
    Matrix logits = products(d, v_);
    for (int i = 0; i < queries_; ++i) {
      double mean = 0;
      for (int j = 0; j < keys_; ++j) mean += at(logits, i, j) * at(weights_, i, j);
      for (int j = 0; j < keys_; ++j) at(logits, i, j) = scale_ * at(weights_, i, j) * (at(logits, i, j) - mean);
    }
    for (int c = 0; c < width_; ++c) {
      for (int i = 0; i < queries_; ++i) {
        dq.at(i, c) = 0;
        for (int j = 0; j < keys_; ++j) dq.at(i, c) += at(logits, i, j) * k_.at(j, c);
      }
      for (int j = 0; j < keys_; ++j) {
        dk.at(j, c) = dv.at(j, c) = 0;
        for (int i = 0; i < queries_; ++i) {
          dk.at(j, c) += at(logits, i, j) * q_.at(i, c);
          dv.at(j, c) += at(weights_, i, j) * d.at(i, c);
        }
      }
    }
  }

  void push_forward(const Head& tq, const Head& tk, const Head& tv, const Head& out) const {
    const Matrix first = products(tq, k_);
    const Matrix second = products(q_, tk);
    for (int i = 0; i < queries_; ++i) {
      double mean = 0;
      const auto moved = [&](int j) { return scale_ * (at(first, i, j) + at(second, i, j)); };
      for (int j = 0; j < keys_; ++j) mean += at(weights_, i, j) * moved(j);
      for (int c = 0; c < width_; ++c) {
        out.at(i, c) = 0;
        for (int j = 0; j < keys_; ++j) {
          out.at(i, c) += at(weights_, i, j) * ((moved(j) - mean) * v_.at(j, c) + tv.at(j, c));
        }
      }
    }
  }

 private:
  [[nodiscard]] Matrix products(const Head& rows, const Head& columns) const {
    Matrix result(static_cast<std::size_t>(queries_) * static_cast<std::size_t>(keys_), 0.0);
    for (int i = 0; i < queries_; ++i) {
      for (int j = 0; j < keys_; ++j) {
        for (int c = 0; c < width_; ++c) at(result, i, j) += rows.at(i, c) * columns.at(j, c);
      }
    }
    return result;
  }

  /// Turns the first `count` logits of a row into weights; those of the other keys are 0.
  void softmax(int row, int count) {
    double maximum = at(weights_, row, 0);
    for (int j = 0; j < count; ++j) maximum = std::max(maximum, at(weights_, row, j));
    double sum = 0;
    for (int j = 0; j < keys_; ++j) {
      sum += at(weights_, row, j) = j < count ? std::exp(scale_ * (at(weights_, row, j) - maximum)) : 0.0;
    }
    for (int j = 0; j < count; ++j) at(weights_, row, j) /= sum;
  }

  Head q_;
  Head k_;
  Head v_;
  int width_;
  int queries_ = 0;
  int keys_ = 0;
  double scale_ = 1;
  Matrix weights_;
};

void attention(const Network::Node& layer, const Map* inputs, const Map* outputs) {
  const int channels = inputs[0].channels;
  const dpm_attention_attributes& how = layer.attributes.attention;
  const int width = channels / how.heads;
  // Cotangents of k and v come behind that of q, or are a result of their own.
  const bool is_crossed = layer.operands.outputs() > 1;
  const Map& of_keys = outputs[is_crossed ? 1 : 0];
  const int first_key = is_crossed ? 0 : channels;
  for (int h = 0; h < how.heads; ++h) {
    const AttentionHead head(inputs, width, h, how.causal != 0);
    const int first = h * width;
    if (layer.op == DPM_OP_ATTENTION_BACKWARD) {
      head.pull_back(Head(inputs[3], first), Head(outputs[0], first), Head(of_keys, first_key + first),
                     Head(of_keys, first_key + channels + first));
    } else {
      head.push_forward(Head(inputs[3], first), Head(inputs[4], first), Head(inputs[5], first),
                        Head(outputs[0], first));
    }
  }
}

void norm_vector(const Network::Node& layer, const Map& sums, const Map& out) {
  const int channels = sums.channels / 2;
  for (int c = 0; c < channels; ++c) {
    const auto channel = static_cast<std::size_t>(c);
    out.data[c] = layer.weight[channel] * sums.data[c] + layer.bias[channel] * sums.data[channels + c];
    out.data[channels + c] = sums.data[channels + c];
  }
}

void square_score(const Network::Node& layer, const Map* inputs, const Map& out) {
  const bool squares = layer.operands.input(3) >= 0;
  for (int i = 0; i < out.elements(); ++i) {
    double target = inputs[1].data[i];
    if (squares) target = (target - inputs[3].data[i]) * (target - inputs[3].data[i]);
    out.data[i] = 2 * inputs[2].data[0] * (inputs[0].data[i] - target);
  }
}

/// Computes the derivative of the norm of each pixel's channels; where `products` is there, also d times the normalised
/// map.
void layer_norm(const Network::Node& layer, const Map* inputs, const Map& out, const Map* products) {
  const Map& in = inputs[0];
  const int pixels = in.height * in.width;
  const auto channels = static_cast<double>(in.channels);
  for (int p = 0; p < pixels; ++p) {
    const auto element = [&](const Map& map, int c) -> double& {
      return map.data[static_cast<std::ptrdiff_t>(c) * pixels + p];
    };
    const auto [mean, inverse] = pixel_moments(layer.attributes.layer_norm, in, p);
    const auto normalised = [&, mean = mean, inverse = inverse](int c) { return (element(in, c) - mean) * inverse; };
    const auto moved = [&](int c) { return element(inputs[1], c) * layer.weight[static_cast<std::size_t>(c)]; };
    double mean_moved = 0;
    double projection = 0;
    for (int c = 0; c < in.channels; ++c) {
      mean_moved += moved(c) / channels;
      projection += moved(c) * normalised(c) / channels;
    }
    for (int c = 0; c < in.channels; ++c) {
      // The products come first, because the result may take the place of d.
      if (products != nullptr) element(*products, c) = element(inputs[1], c) * normalised(c);
      element(out, c) = inverse * (moved(c) - mean_moved - normalised(c) * projection);
    }
  }
}

void geglu(const Map* inputs, const Map& out) {
  const int half = inputs[1].elements();
  for (int i = 0; i < half; ++i) {
    const double value = inputs[0].data[i];
    const double gate = inputs[0].data[half + i];
    out.data[i] = inputs[1].data[i] * activated(DPM_ACTIVATION_GELU, gate);
    out.data[half + i] = inputs[1].data[i] * value * slope(DPM_ACTIVATION_GELU, gate);
  }
}

void zero_upsample(const Map& in, const Map& out) {
  std::fill_n(out.data, out.elements(), 0.0);
  for (int c = 0; c < in.channels; ++c) {
    for (int y = 0; y < in.height; ++y) {
      for (int x = 0; x < in.width; ++x) out.at(c, 2 * y, 2 * x) = in.at(c, y, x);
    }
  }
}

}  // namespace

double slope(dpm_activation kind, double x) {
  const double sigmoid = 1.0 / (1.0 + std::exp(-x));
  switch (kind) {
    case DPM_ACTIVATION_MISH: {
      const double t = std::tanh(std::log1p(std::exp(x)));
      return t + x * (1.0 - t * t) * sigmoid;
    }
    case DPM_ACTIVATION_GELU: {
      constexpr double kInverseRootOfTwoPi = 0.39894228040143267794;
      return 0.5 * (1.0 + std::erf(x / std::sqrt(2.0))) + x * kInverseRootOfTwoPi * std::exp(-0.5 * x * x);
    }
    case DPM_ACTIVATION_SILU:
      return sigmoid * (1.0 + x * (1.0 - sigmoid));
    case DPM_ACTIVATION_QUICK_GELU: {
      const double wide = 1.0 / (1.0 + std::exp(-1.702 * x));
      return wide * (1.0 + 1.702 * x * (1.0 - wide));
    }
    case DPM_ACTIVATION_TANH:
      return 1.0 - std::tanh(x) * std::tanh(x);
    default:
      return x > 0 ? 1.0 : 0.0;
  }
}

bool run_derivative(const Network::Node& layer, const Map* inputs, const Map* outputs) {
  const Map& out = outputs[0];
  switch (layer.op) {
    case DPM_OP_VIEW: {
      const std::ptrdiff_t pixels = static_cast<std::ptrdiff_t>(out.height) * out.width;
      std::copy_n(inputs[0].data + layer.attributes.view.first * pixels, out.elements(), out.data);
      return true;
    }
    case DPM_OP_ZERO_UPSAMPLE:
      zero_upsample(inputs[0], out);
      return true;
    case DPM_OP_ACTIVATION_BACKWARD:
      for (int i = 0; i < out.elements(); ++i) {
        const auto kind = static_cast<dpm_activation>(layer.attributes.activation.kind);
        out.data[i] = slope(kind, inputs[0].data[i]) * inputs[1].data[i];
      }
      return true;
    case DPM_OP_GROUP_NORM_BACKWARD:
      if (layer.operands.outputs() > 1) norm_sums(layer, inputs, outputs[1]);
      [[fallthrough]];
    case DPM_OP_GROUP_NORM_TANGENT:
      for (int g = 0; g < layer.attributes.group_norm.groups; ++g) norm_group(layer, inputs, out, g);
      return true;
    case DPM_OP_LAYER_NORM_BACKWARD:
      layer_norm(layer, inputs, out, layer.operands.outputs() > 1 ? &outputs[1] : nullptr);
      return true;
    case DPM_OP_GEGLU_BACKWARD:
      geglu(inputs, out);
      return true;
    case DPM_OP_ATTENTION_BACKWARD:
    case DPM_OP_ATTENTION_TANGENT:
      attention(layer, inputs, outputs);
      return true;
    case DPM_OP_GROUP_NORM_VECTOR:
      norm_vector(layer, inputs[0], out);
      return true;
    case DPM_OP_SQUARE_SCORE:
      square_score(layer, inputs, out);
      return true;
    default:
      return false;
  }
}

}  // namespace dpm::reference
