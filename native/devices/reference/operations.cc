#include <algorithm>
#include <cmath>
#include <utility>

#include "backend/dropout_math.h"
#include "core/error.h"
#include "devices/reference/network.h"

namespace dpm::reference {
namespace {

/// Returns, for outputs 0 to `outputs` - 1, the first whose input `output * stride + shift` is not before the map, and
/// the one after the last whose input is not behind it.
std::pair<int, int> inside(int outputs, int inputs, int stride, int shift) {
  const int first = shift >= 0 ? 0 : (stride - 1 - shift) / stride;
  const int last = inputs <= shift ? 0 : (inputs - shift + stride - 1) / stride;
  return {std::min(first, outputs), std::min(last, outputs)};
}

// Every weight goes over the whole map, so that the innermost loop has no conditions: tests spend most of their time in
// this function.
void convolution(const Network::Node& layer, const Map& in, const Map& out) {
  const dpm_convolution_attributes& node = layer.attributes.convolution;
  const int k = node.kernel;
  const double* weight = layer.weight.data();
  std::fill_n(out.data, out.elements(), 0.0);
  for (int o = 0; o < out.channels; ++o) {
    for (int c = 0; c < in.channels; ++c) {
      for (int i = 0; i < k; ++i) {
        const auto [top, bottom] = inside(out.height, in.height, node.stride, i - node.pad_before);
        for (int j = 0; j < k; ++j, ++weight) {
          const int shift = j - node.pad_before;
          const auto [left, right] = inside(out.width, in.width, node.stride, shift);
          for (int y = top; y < bottom; ++y) {
            const double* row = &in.at(c, y * node.stride + i - node.pad_before, 0);
            double* sums = &out.at(o, y, 0);
            if (node.stride == 1) {
              for (int x = left; x < right; ++x) sums[x] += row[x + shift] * *weight;
            } else {
              for (int x = left; x < right; ++x) sums[x] += row[x * node.stride + shift] * *weight;
            }
          }
        }
      }
    }
  }
}

void group_norm(const Network::Node& layer, const Map* inputs, const Map& out) {
  const dpm_group_norm_attributes& node = layer.attributes.group_norm;
  const Map& in = inputs[0];
  const Map vector = layer.operands.input(1) >= 0 ? inputs[1] : Map{};
  // All moments are computed first, because the result may take the place of the map.
  std::vector<GroupMoments> groups;
  groups.reserve(static_cast<std::size_t>(node.groups));
  for (int g = 0; g < node.groups; ++g) groups.push_back(group_moments(node, in, g));
  for (int c = 0; c < in.channels; ++c) {
    const GroupMoments& moments = groups[static_cast<std::size_t>(c / (in.channels / node.groups))];
    const ChannelCoefficients channel = channel_coefficients(layer, vector, in.channels, c);
    for (int y = 0; y < in.height; ++y) {
      for (int x = 0; x < in.width; ++x) {
        const double normalised = (in.at(c, y, x) - moments.mean) * moments.inverse_deviation;
        const double z = normalised * channel.scale + channel.shift;
        out.at(c, y, x) = node.silu != 0 ? activated(DPM_ACTIVATION_SILU, z) : z;
      }
    }
  }
}

void attention(const Network::Node& layer, const Map* inputs, const Map& out) {
  const dpm_attention_attributes& node = layer.attributes.attention;
  const double* logits = layer.operands.input(3) >= 0 ? inputs[3].data : nullptr;
  const int queries = out.height * out.width;
  const int keys = inputs[1].height * inputs[1].width;
  const int width = out.channels / node.heads;
  const auto element = [&](const Map& map, int head, int token, int c) -> double& {
    return map.data[static_cast<std::ptrdiff_t>(head * width + c) * map.height * map.width + token];
  };
  for (int head = 0; head < node.heads; ++head) {
    for (int i = 0; i < queries; ++i) {
      std::vector<double> weight(static_cast<std::size_t>(node.causal != 0 ? i + 1 : keys));
      for (std::size_t j = 0; j < weight.size(); ++j) {
        const int key = static_cast<int>(j);
        double dot = 0;
        for (int c = 0; c < width; ++c) dot += element(inputs[0], head, i, c) * element(inputs[1], head, key, c);
        weight[j] = dot / std::sqrt(static_cast<double>(width)) + (logits == nullptr ? 0.0 : logits[j]);
      }
      const double maximum = *std::max_element(weight.begin(), weight.end());
      double sum = 0;
      for (double& w : weight) sum += w = std::exp(w - maximum);
      for (int c = 0; c < width; ++c) {
        double value = 0;
        for (std::size_t j = 0; j < weight.size(); ++j) {
          value += weight[j] * element(inputs[2], head, static_cast<int>(j), c);
        }
        element(out, head, i, c) = value / sum;
      }
    }
  }
}

void layer_norm(const Network::Node& layer, const Map& in, const Map& out) {
  const int pixels = in.height * in.width;
  for (int p = 0; p < pixels; ++p) {
    const GroupMoments moments = pixel_moments(layer.attributes.layer_norm, in, p);
    for (int c = 0; c < in.channels; ++c) {
      const std::ptrdiff_t place = static_cast<std::ptrdiff_t>(c) * pixels + p;
      const auto index = static_cast<std::size_t>(c);
      const double normalised = (in.data[place] - moments.mean) * moments.inverse_deviation;
      out.data[place] = normalised * layer.weight[index] + layer.bias[index];
    }
  }
}

void geglu(const Map& in, const Map& out) {
  const double* gate = in.data + out.elements();
  for (int i = 0; i < out.elements(); ++i) out.data[i] = in.data[i] * activated(DPM_ACTIVATION_GELU, gate[i]);
}

void time_embedding(const Network::Node& layer, const Map& in, const Map& out) {
  const dpm_time_embedding_attributes& node = layer.attributes.time_embedding;
  const int half = node.length / 2;
  const auto time = static_cast<float>(node.logarithmic != 0 ? std::log(in.data[0]) : in.data[0]);
  // The angles are float32 as in the original networks, where the rounding of time times frequency is part of the
  // result.
  const float step = -std::log(10000.0F) / (static_cast<float>(half) - node.frequency_shift);
  for (int i = 0; i < half; ++i) {
    const auto weight = layer.weight.empty() ? 0.0F : static_cast<float>(layer.weight[static_cast<std::size_t>(i)]);
    const float angle =
        layer.weight.empty() ? time * std::exp(static_cast<float>(i) * step) : time * weight * 6.28318530717958647692F;
    out.data[node.cosine_first != 0 ? half + i : i] = std::sin(static_cast<double>(angle));
    out.data[node.cosine_first != 0 ? i : half + i] = std::cos(static_cast<double>(angle));
  }
  if (node.length % 2 != 0) out.data[node.length - 1] = 0;
}

void embedding(const Network::Node& layer, const Map& in, const Map& out) {
  const bool known = in.data[0] > -1 && in.data[0] < static_cast<double>(layer.weight_rows);
  const std::int64_t row = known ? static_cast<std::int64_t>(in.data[0]) : 0;
  for (int i = 0; i < out.channels; ++i) {
    out.data[i] = known ? layer.weight[static_cast<std::size_t>(row * out.channels + i)] : 0.0;
  }
}

void label_score(const Map& logits, double label, const Map& out) {
  const bool known = label > -1 && label < static_cast<double>(logits.channels);
  const double largest = *std::max_element(logits.data, logits.data + logits.channels);
  double sum = 0;
  for (int k = 0; k < logits.channels; ++k) sum += std::exp(logits.data[k] - largest);
  for (int k = 0; k < logits.channels; ++k) {
    const double one = k == static_cast<int>(label) ? 1.0 : 0.0;
    out.data[k] = known ? one - std::exp(logits.data[k] - largest) / sum : 0.0;
  }
}

void upsample(const Map& in, const Map& out) {
  const auto source = [](int i, int from, int to) {
    return static_cast<int>(static_cast<std::int64_t>(i) * from / to);
  };
  for (int c = 0; c < out.channels; ++c) {
    for (int y = 0; y < out.height; ++y) {
      for (int x = 0; x < out.width; ++x) {
        out.at(c, y, x) = in.at(c, source(y, in.height, out.height), source(x, in.width, out.width));
      }
    }
  }
}

void average_pool(const Map& in, const Map& out) {
  for (int c = 0; c < out.channels; ++c) {
    for (int y = 0; y < out.height; ++y) {
      for (int x = 0; x < out.width; ++x) {
        out.at(c, y, x) = (in.at(c, 2 * y, 2 * x) + in.at(c, 2 * y, 2 * x + 1) + in.at(c, 2 * y + 1, 2 * x) +
                           in.at(c, 2 * y + 1, 2 * x + 1)) /
                          4.0;
      }
    }
  }
}

/// Computes the filter as it is defined: zeros after every element (upsampling), zeros around the map, a correlation
/// with the outer product of the taps, of which every second element is kept (downsampling).
void fir(const Network::Node& layer, const Map& in, const Map& out) {
  constexpr double kTaps[4] = {1, 3, 3, 1};
  const bool enlarges = layer.op == DPM_OP_FIR_UPSAMPLE;
  const int up = enlarges ? 2 : 1;
  const int down = enlarges ? 1 : 2;
  const int pad_before =
      enlarges ? 2 + layer.attributes.fir_upsample.extension : layer.attributes.fir_downsample.padding;
  const double gain = enlarges ? 4 : 1;
  const auto spread = [&](int c, int row, int column) {
    const bool inside = row >= 0 && row < up * in.height && column >= 0 && column < up * in.width;
    return inside && row % up == 0 && column % up == 0 ? in.at(c, row / up, column / up) : 0.0;
  };
  for (int c = 0; c < out.channels; ++c) {
    for (int y = 0; y < out.height; ++y) {
      for (int x = 0; x < out.width; ++x) {
        double sum = 0;
        for (int i = 0; i < 4; ++i) {
          for (int j = 0; j < 4; ++j) {
            sum += kTaps[i] * kTaps[j] / 64 * spread(c, y * down + i - pad_before, x * down + j - pad_before);
          }
        }
        out.at(c, y, x) = gain * sum;
      }
    }
  }
}

/// Computes one sum over the whole map for every element, as it is defined.
void separable(const Network::Node& layer, const Map& in, const Map& out) {
  const auto element = [](const std::vector<double>& matrix, int row, int columns, int column) {
    return matrix[static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column)];
  };
  for (int c = 0; c < out.channels; ++c) {
    for (int y = 0; y < out.height; ++y) {
      for (int x = 0; x < out.width; ++x) {
        double sum = 0;
        for (int i = 0; i < in.height; ++i) {
          for (int j = 0; j < in.width; ++j) {
            sum +=
                element(layer.weight, y, in.height, i) * in.at(c, i, j) * element(layer.second_weight, x, in.width, j);
          }
        }
        out.at(c, y, x) = sum;
      }
    }
  }
}

void dropout(const Network::Node& layer, const Map* inputs, const Map& out) {
  const Dropout how = dropout_of(layer.attributes.dropout);
  const DropoutSample sample = dropout_sample([&](int i) { return inputs[1].data[i]; });
  for (int i = 0; i < out.elements(); ++i) {
    const PhiloxWords words = dropout_words(how, sample, static_cast<std::uint32_t>(i / 4));
    out.data[i] = inputs[0].data[i] * static_cast<double>(dropout_factor(how, words.word[i % 4]));
  }
}

void channelwise(const Network::Node& layer, const Map* inputs, const Map& out) {
  const int pixels = out.height * out.width;
  for (int i = 0; i < out.elements(); ++i) {
    const int c = i / pixels;
    const double x = inputs[0].data[i];
    switch (layer.op) {
      case DPM_OP_BIAS:
        out.data[i] = x + layer.bias[static_cast<std::size_t>(c)];
        break;
      case DPM_OP_POSITION:
        out.data[i] = x + layer.bias[static_cast<std::size_t>(i)];
        break;
      case DPM_OP_CHANNEL_ADD:
        out.data[i] = x + inputs[1].data[c];
        break;
      case DPM_OP_SCALE_SHIFT:
        out.data[i] = x * (1.0 + inputs[1].data[c]) + inputs[1].data[out.channels + c];
        break;
      case DPM_OP_SILU:
        out.data[i] = activated(DPM_ACTIVATION_SILU, x);
        break;
      case DPM_OP_ACTIVATION:
        out.data[i] = activated(static_cast<dpm_activation>(layer.attributes.activation.kind), x);
        break;
      case DPM_OP_ADD:
        out.data[i] = x + inputs[1].data[i];
        break;
      default:
        out.data[i] =
            static_cast<double>(layer.attributes.affine.scale) * x + static_cast<double>(layer.attributes.affine.shift);
    }
  }
}

}  // namespace

double activated(dpm_activation kind, double x) {
  switch (kind) {
    case DPM_ACTIVATION_MISH:
      return x * std::tanh(std::log1p(std::exp(x)));
    case DPM_ACTIVATION_GELU:
      return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
    case DPM_ACTIVATION_SILU:
      return x / (1.0 + std::exp(-x));
    case DPM_ACTIVATION_QUICK_GELU:
      return x / (1.0 + std::exp(-1.702 * x));
    case DPM_ACTIVATION_TANH:
      return std::tanh(x);
    default:
      return std::max(x, 0.0);
  }
}

GroupMoments group_moments(const dpm_group_norm_attributes& attributes, const Map& in, int group) {
  const int elements = in.elements() / attributes.groups;
  const double* x = in.data + static_cast<std::ptrdiff_t>(group) * elements;
  GroupMoments moments;
  for (int i = 0; i < elements; ++i) moments.mean += x[i];
  moments.mean /= elements;
  double variance = 0;
  for (int i = 0; i < elements; ++i) variance += (x[i] - moments.mean) * (x[i] - moments.mean);
  moments.inverse_deviation = 1.0 / std::sqrt(variance / elements + static_cast<double>(attributes.epsilon));
  return moments;
}

GroupMoments pixel_moments(const dpm_layer_norm_attributes& attributes, const Map& in, int pixel) {
  const std::ptrdiff_t pixels = static_cast<std::ptrdiff_t>(in.height) * in.width;
  const auto element = [&](int c) { return in.data[c * pixels + pixel]; };
  GroupMoments moments;
  for (int c = 0; c < in.channels; ++c) moments.mean += element(c);
  moments.mean /= in.channels;
  double variance = 0;
  for (int c = 0; c < in.channels; ++c) variance += (element(c) - moments.mean) * (element(c) - moments.mean);
  moments.inverse_deviation = 1.0 / std::sqrt(variance / in.channels + static_cast<double>(attributes.epsilon));
  return moments;
}

ChannelCoefficients channel_coefficients(const Network::Node& layer, const Map& vector, int channels, int channel) {
  ChannelCoefficients result{layer.weight[static_cast<std::size_t>(channel)],
                             layer.bias[static_cast<std::size_t>(channel)]};
  if (vector.data == nullptr) return result;
  const double factor = 1.0 + vector.data[channel];
  return {result.scale * factor, result.shift * factor + vector.data[channels + channel]};
}

bool supports(const dpm_graph& graph, const dpm_node& node) {
  const bool is_folded =
      node.op == DPM_OP_GROUP_NORM && (node.attributes.group_norm.silu != 0 || input_of(node, 1) >= 0);
  const bool is_merged = node.op == DPM_OP_CONVOLUTION && node.weight_count > 1;
  return !is_folded && !is_merged && runs(graph, node);
}

bool runs(const dpm_graph& graph, const dpm_node& node) {
  for (std::uint32_t i = 0; i < graph.value_count; ++i) {
    if (graph.values[i].parent >= 0) return false;
  }
  const bool takes_more = node.op == DPM_OP_CONVOLUTION || (node.op == DPM_OP_SEPARABLE && node.weight_count == 2);
  const bool has_more = node.op == DPM_OP_GROUP_NORM_BACKWARD || node.op == DPM_OP_LAYER_NORM_BACKWARD ||
                        node.op == DPM_OP_ATTENTION_BACKWARD;
  const std::uint32_t outputs = has_more ? 2 : 1;
  if (node.output_count < 1 || node.output_count > outputs) return false;
  if ((node.weight_count > 1 && !takes_more) || node.op >= DPM_OP_COUNT) return false;
  if (node.op == DPM_OP_CONVOLUTION) {
    const dpm_convolution_attributes& how = node.attributes.convolution;
    const bool enlarges = how.upsample != 0 || how.zero_upsample != 0;
    const bool fused = enlarges || how.silu != 0 || how.scale != 1.0F || how.beside != 0 || node.bias_count > 0;
    return !fused && input_of(node, 1) < 0 && input_of(node, 2) < 0;
  }
  return node.op != DPM_OP_GROUP_NORM || (node.bias_count == 1 && input_of(node, 2) < 0);
}

void run_node(const Network::Node& layer, const Map* inputs, const Map* outputs) {
  if (run_derivative(layer, inputs, outputs)) return;
  const Map& out = outputs[0];
  switch (layer.op) {
    case DPM_OP_CONVOLUTION:
      return convolution(layer, inputs[0], out);
    case DPM_OP_GROUP_NORM:
      return group_norm(layer, inputs, out);
    case DPM_OP_ATTENTION:
      return attention(layer, inputs, out);
    case DPM_OP_LAYER_NORM:
      return layer_norm(layer, inputs[0], out);
    case DPM_OP_GEGLU:
      return geglu(inputs[0], out);
    case DPM_OP_DROPOUT:
      return dropout(layer, inputs, out);
    case DPM_OP_TIME_EMBEDDING:
      return time_embedding(layer, inputs[0], out);
    case DPM_OP_EMBEDDING:
      return embedding(layer, inputs[0], out);
    case DPM_OP_CONCAT:
      std::copy_n(inputs[0].data, inputs[0].elements(), out.data);
      std::copy_n(inputs[1].data, inputs[1].elements(), out.data + inputs[0].elements());
      return;
    case DPM_OP_UPSAMPLE:
      return upsample(inputs[0], out);
    case DPM_OP_AVERAGE_POOL:
      return average_pool(inputs[0], out);
    case DPM_OP_FIR_UPSAMPLE:
    case DPM_OP_FIR_DOWNSAMPLE:
      return fir(layer, inputs[0], out);
    case DPM_OP_SEPARABLE:
      return separable(layer, inputs[0], out);
    case DPM_OP_LABEL_SCORE:
      return label_score(inputs[0], inputs[1].data[0], out);
    default:
      return channelwise(layer, inputs, out);
  }
}

}  // namespace dpm::reference
