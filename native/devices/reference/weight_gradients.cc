// Sums over rows for gradients of weights, written from their definitions.
#include "devices/reference/network.h"

namespace dpm::reference {
namespace {

void add_convolution(const Network::Node& layer, const Map& in, const Map& d, const Map& sum) {
  const dpm_convolution_attributes& node = layer.attributes.convolution;
  double* gradient = sum.data;
  for (int o = 0; o < d.channels; ++o) {
    for (int c = 0; c < in.channels; ++c) {
      for (int i = 0; i < node.kernel; ++i) {
        for (int j = 0; j < node.kernel; ++j, ++gradient) {
          for (int y = 0; y < d.height; ++y) {
            const int row = y * node.stride + i - node.pad_before;
            if (row < 0 || row >= in.height) continue;
            for (int x = 0; x < d.width; ++x) {
              const int column = x * node.stride + j - node.pad_before;
              if (column >= 0 && column < in.width) *gradient += d.at(o, y, x) * in.at(c, row, column);
            }
          }
        }
      }
    }
  }
}

void add_to_table(const Map& in, const Map& d, const Map& sum) {
  const bool is_known = in.data[0] > -1 && in.data[0] < static_cast<double>(sum.channels);
  if (!is_known) return;
  double* row = &sum.at(static_cast<int>(in.data[0]), 0, 0);
  for (int c = 0; c < d.channels; ++c) row[c] += d.data[c];
}

}  // namespace

bool add_row(const Network::Node& layer, const Map* inputs, const Map& sum) {
  switch (layer.op) {
    case DPM_OP_CONVOLUTION_WEIGHTS:
      add_convolution(layer, inputs[0], inputs[1], sum);
      return true;
    case DPM_OP_ROW_SUM:
      for (int i = 0; i < sum.elements(); ++i) sum.data[i] += inputs[0].data[i];
      return true;
    case DPM_OP_EMBEDDING_WEIGHTS:
      add_to_table(inputs[0], inputs[1], sum);
      return true;
    default:
      return false;
  }
}

void norm_sums(const Network::Node& layer, const Map* inputs, const Map& sums) {
  const dpm_group_norm_attributes& node = layer.attributes.group_norm;
  const Map& in = inputs[0];
  const Map vector = layer.operands.input(2) >= 0 ? inputs[2] : Map{};
  for (int c = 0; c < in.channels; ++c) {
    const GroupMoments moments = group_moments(node, in, c / (in.channels / node.groups));
    const ChannelCoefficients channel = channel_coefficients(layer, vector, in.channels, c);
    double& of_products = sums.data[c] = 0;
    double& of_derivatives = sums.data[in.channels + c] = 0;
    for (int y = 0; y < in.height; ++y) {
      for (int x = 0; x < in.width; ++x) {
        const double normalised = (in.at(c, y, x) - moments.mean) * moments.inverse_deviation;
        const double z = normalised * channel.scale + channel.shift;
        const double delta = inputs[1].at(c, y, x) * (node.silu != 0 ? slope(DPM_ACTIVATION_SILU, z) : 1.0);
        of_products += delta * normalised;
        of_derivatives += delta;
      }
    }
  }
}

}  // namespace dpm::reference
