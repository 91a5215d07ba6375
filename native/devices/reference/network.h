// The reference for all devices: every operation as a naive loop over NCHW doubles, one node at a time, nothing fused.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/handles.h"
#include "backend/node.h"

namespace dpm::reference {

struct Device {
  std::atomic<std::uint64_t> used{0};
  std::atomic<std::uint64_t> peak{0};
};

struct Buffer {
  std::vector<unsigned char> bytes;
};

struct Network {
  Network(Device& owner, const dpm_graph& graph);

  struct Node {
    explicit Node(const dpm_node& node)
        : op(static_cast<dpm_op>(node.op)), operands(node), attributes(node.attributes) {}

    dpm_op op;
    Operands operands;
    dpm_attributes attributes;
    std::vector<double> weight;
    /// The second weight of DPM_OP_SEPARABLE.
    std::vector<double> second_weight;
    std::vector<double> bias;
    std::int64_t weight_rows = 0;
    /// Constants of the three, with their dimensions and places among parameters alone; those that stay have none.
    dpm_constant weight_constant{};
    dpm_constant second_weight_constant{};
    dpm_constant bias_constant{};
  };

  Device& device;
  std::vector<dpm_value> values;
  std::vector<dpm_element> elements;  ///< element type per binding
  std::vector<Node> nodes;
};

struct Executable {
  Executable(Network& owner, const dpm_plan& plan);
  void run(const dpm_bindings& bindings, double* node_seconds) const;
  /// Runs a node for sample n.
  void run_node(const Network::Node& node, const dpm_bindings& bindings, std::uint32_t n) const;
  /// Runs a node that sums over the rows, and adds the sum to its tensor.
  void sum_rows(const Network::Node& node, const dpm_bindings& bindings) const;

  Network& network;
  std::uint32_t batch;
  std::vector<std::uint64_t> offsets;
  double* arena;
};

using Handle = Handles<Device, Buffer, Network, Executable>;

/// Returns whether a pass may make `node`: never, so that a graph runs as it was built.
bool supports(const dpm_graph& graph, const dpm_node& node);

/// Returns whether the device runs `node`: primitive operations, convolutions of several weights, and group norms with
/// the operations that derivatives fold into them.
bool runs(const dpm_graph& graph, const dpm_node& node);

/// One value of one sample, NCHW; external ones are copied in and out by the executable.
struct Map {
  double* data = nullptr;
  int channels = 0;
  int height = 0;
  int width = 0;

  [[nodiscard]] double& at(int c, int y, int x) const {
    return data[(static_cast<std::ptrdiff_t>(c) * height + y) * width + x];
  }
  [[nodiscard]] int elements() const { return channels * height * width; }
};

/// Applies the activation `kind` to x.
double activated(dpm_activation kind, double x);

/// Runs a node of a derivative for one sample; returns false for any other operation.
bool run_derivative(const Network::Node& node, const Map* inputs, const Map* outputs);

/// Adds one sample's part to the sum of a node that sums over rows; returns false for any other operation.
bool add_row(const Network::Node& node, const Map* inputs, const Map& sum);

/// Derivative of the activation `kind` at x.
double slope(dpm_activation kind, double x);

/// Computes the sums (S1; S2) of a norm's derivative (DPM_OP_GROUP_NORM_BACKWARD).
void norm_sums(const Network::Node& layer, const Map* inputs, const Map& sums);

/// Mean and inverse deviation of one group of a map.
struct GroupMoments {
  double mean = 0;
  double inverse_deviation = 0;
};
GroupMoments group_moments(const dpm_group_norm_attributes& attributes, const Map& in, int group);
/// Returns the moments of the channels of one pixel, of DPM_OP_LAYER_NORM.
GroupMoments pixel_moments(const dpm_layer_norm_attributes& attributes, const Map& in, int pixel);

/// A group norm's factor for a normalised channel, and its addend.
struct ChannelCoefficients {
  double scale = 1;
  double shift = 0;
};
/// Computes the coefficients of a channel; `vector` is the scale and shift, without data where there is none.
ChannelCoefficients channel_coefficients(const Network::Node& layer, const Map& vector, int channels, int channel);

/// Runs one node for one sample.
void run_node(const Network::Node& node, const Map* inputs, const Map* outputs);

/// First element of one row of a view, null where the tensor is absent.
float* row(const dpm_view& view, std::uint64_t index);

// Implements the operations of the same names in backend.h, for requests that the engine has checked.

void gather(const dpm_gather& gather);
void update(const dpm_update& update);
void reduce(const dpm_reduce& reduce);
void optimize(const dpm_optimize& optimize);
void repack(Network& network, const dpm_repack& repack);

}  // namespace dpm::reference
