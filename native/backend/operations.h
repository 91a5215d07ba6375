// The operations of a graph's nodes, and their attributes. A change here needs a new DPM_BACKEND_ABI.
#pragma once

#include <stdint.h>

/// Enums whose values come from outside: in C++ they have a fixed 32-bit type, so that a wrong value can be examined.
#ifdef __cplusplus
#define DPM_OPEN_ENUM(name) enum name : uint32_t
#else
#define DPM_OPEN_ENUM(name) enum name
#endif

#ifdef __cplusplus
extern "C" {
#endif

/// Operations of nodes. An input in brackets is optional: -1, or left out at the end. Every operation has one output
/// unless it says otherwise.
DPM_OPEN_ENUM(dpm_op){
    DPM_OP_TIME_EMBEDDING = 0,  ///< (time or label) -> sinusoidal vector; with weights[0] of angles 2 pi weight time
    DPM_OP_EMBEDDING = 1,       ///< (label or truncated time) -> row of the table in weights[0]; zero where it has none
    DPM_OP_CONVOLUTION = 2,     ///< (map[, channel vector][, residual map]) -> map; see dpm_convolution_attributes
    DPM_OP_GROUP_NORM = 3,      ///< (map[, scale and shift][, vector]) -> map; weights[0] gamma, biases[0] beta. The
                                ///< vector and biases[1] are added to the map first, as by DPM_OP_CHANNEL_ADD
                                ///< and DPM_OP_BIAS
    DPM_OP_ATTENTION = 4,       ///< (q, k, v[, logits]) -> map of q's size. k and v are of one size, which may be
                                ///< another than q's; logits [tokens of k, 1, 1] are added to those of every query
    DPM_OP_BIAS = 5,            ///< (map) -> map + biases[0][c]
    DPM_OP_CHANNEL_ADD = 6,     ///< (map, vector) -> map + vector[n, c]
    DPM_OP_SCALE_SHIFT = 7,     ///< (map, vector of 2C) -> map * (1 + vector[n, c]) + vector[n, C + c]
    DPM_OP_SILU = 8,            ///< (map) -> map * sigmoid(map)
    DPM_OP_ADD = 9,             ///< (map, map) -> sum
    DPM_OP_AFFINE = 10,         ///< (map) -> scale * map + shift
    DPM_OP_CONCAT = 11,         ///< (map, map) -> channels of the first, then of the second
    DPM_OP_UPSAMPLE = 12,       ///< (map) -> nearest neighbour, twice the size or that of its attributes: element i is
                                ///< input floor(i * input size / size)
    DPM_OP_AVERAGE_POOL = 13,   ///< (map) -> means of 2 x 2
    DPM_OP_FIR_UPSAMPLE = 14,   ///< (map) -> y[2i] = (x[i-1] + 3x[i]) / 4, y[2i+1] = (3x[i] + x[i+1]) / 4 on both axes,
                                ///< from -e to 2H + e, e the extension; 0 outside
    DPM_OP_FIR_DOWNSAMPLE = 15,  ///< (map) -> y[i] = (x[2i-p] + 3x[2i-p+1] + 3x[2i-p+2] + x[2i-p+3]) / 8 on both axes,
                                 ///< p the padding; 0 outside
    DPM_OP_ACTIVATION = 16,      ///< (map) -> the function of dpm_activation of every element; SiLU is DPM_OP_SILU

    // Operations for derivatives. d is the cotangent of a result, t the tangent of an input; both have its shape.
    DPM_OP_VIEW = 17,                 ///< (map) -> a range of its channels, as a map of as many pixels
    DPM_OP_ZERO_UPSAMPLE = 18,        ///< (map) -> twice the size: y[2i] = x[i], zeros between on both axes
    DPM_OP_ACTIVATION_BACKWARD = 19,  ///< (map, d) -> f'(map) d, f a dpm_activation
    DPM_OP_GROUP_NORM_BACKWARD = 20,  ///< (map, d[, scale and shift]) -> J^T d, J the Jacobian of DPM_OP_GROUP_NORM
                                      ///< with the same attributes, weights and scale and shift at `map`. A second
                                      ///< output, where there is one, is the vector (S1; S2) of 2C sums over pixels: of
                                      ///< delta times the normalised map, and of delta, which is d times the derivative
                                      ///< of the SiLU, if any
    DPM_OP_GROUP_NORM_TANGENT = 21,   ///< (map, t[, scale and shift]) -> J t
    DPM_OP_ATTENTION_BACKWARD = 22,   ///< (q, k, v, d) -> cotangents of q, of k and of v, one after the other; where k
                                      ///< is of another size than q, that of q and as a second output those of k and v
    DPM_OP_ATTENTION_TANGENT = 23,    ///< (q, k, v, t of q, t of k, t of v) -> tangent of DPM_OP_ATTENTION

    // Operations for classifiers and linear resampling.
    DPM_OP_SEPARABLE = 24,    ///< (map) -> A map B^T, A weights[0] [H', H] and B weights[1] [W', W]: means, broadcasts,
                              ///< selections, filters. Its adjoint is the same with A^T and B^T
    DPM_OP_POSITION = 25,     ///< (map) -> map + biases[0][c, pixel]
    DPM_OP_LABEL_SCORE = 26,  ///< (vector of logits, label) -> the derivative of ln p(label) by the logits: 1 for the
                              ///< label and 0 for others, minus softmax; zeros for a label out of range

    // Operations for gradients of weights. The results of the first three are sums over the rows of a batch, in
    // ascending order: one value for all rows (DPM_VARIES_SHARED), always bound, and added to what the caller's tensor
    // holds.
    DPM_OP_CONVOLUTION_WEIGHTS = 27,  ///< (map [I, H, W], d [O, H', W']) -> [O, I, kernel^2], the cotangent of the
                                      ///< weights of DPM_OP_CONVOLUTION with the same attributes: sums over rows and
                                      ///< pixels of d[o, p] map[i, stride p + tap - pads]
    DPM_OP_ROW_SUM = 28,              ///< (map) -> sum of the rows' maps
    DPM_OP_EMBEDDING_WEIGHTS = 29,  ///< (label or truncated time, vector d [C]) -> [rows, C, 1]: d is added to the row
                                    ///< that DPM_OP_EMBEDDING reads, to none where it reads none
    DPM_OP_GROUP_NORM_VECTOR = 30,  ///< (S1; S2) of DPM_OP_GROUP_NORM_BACKWARD -> cotangent of the scale and shift:
                                    ///< (gamma S1 + beta S2; S2), weights[0] gamma, biases[0] beta
    DPM_OP_SQUARE_SCORE = 31,  ///< (map, target, weight [1], optional p) -> 2 weight (map - target), the derivative of
                               ///< weight times the sum of squared differences; with p of (target - p)^2 for target

    // Operations for transformers.
    DPM_OP_LAYER_NORM = 32,  ///< (map) -> map, normalised over the channels of each pixel; weights[0] gamma, biases[0]
                             ///< beta
    DPM_OP_GEGLU = 33,       ///< (map of 2C) -> map of C: its first half times the GELU of its second

    // Operations for training.
    DPM_OP_DROPOUT = 34,  ///< (map, vector of 8) -> map, whose elements are 0, or 1 / (1 - rate) times the map's. The
                          ///< vector has the bytes of a step and of a slot, the lowest first. Element e in row-major
                          ///< order is kept where word e mod 4 of Philox4x32-10 is at least rate 2^32, with key (seed)
                          ///< and counter (e / 4, step, slot, draw)

    // Derivatives of the operations for transformers.
    DPM_OP_LAYER_NORM_BACKWARD = 35,  ///< (map, d) -> J^T d, J the Jacobian of DPM_OP_LAYER_NORM with the same epsilon
                                      ///< and weights[0] gamma at `map`. A second output, where there is one, is d
                                      ///< times the normalised map
    DPM_OP_GEGLU_BACKWARD = 36,       ///< (map of 2C, d of C) -> cotangent of the map
};
/// Number of operations.
enum { DPM_OP_COUNT = DPM_OP_GEGLU_BACKWARD + 1 };

typedef struct dpm_time_embedding_attributes {
  int32_t length;         ///< length of the vector
  float frequency_shift;  ///< frequencies exp(-ln(10000) i / (half - shift))
  int32_t cosine_first;
  int32_t logarithmic;  ///< embeds the natural logarithm of the time
} dpm_time_embedding_attributes;

/// A convolution computes
///   activation(scale * (convolution(input) + bias + channel vector + residual))
/// where everything after the convolution is optional. Its weights (and as many biases, if any) are stacked along the
/// output channels.
typedef struct dpm_convolution_attributes {
  int32_t kernel;
  int32_t stride;
  int32_t pad_before;  ///< number of zeros above and to the left
  int32_t pad_after;   ///< number of zeros below and to the right
  int32_t upsample;    ///< the input is enlarged twice (nearest neighbour) first
  int32_t silu;        ///< the result passes through SiLU
  float scale;
  int32_t beside;         ///< may run beside the nodes that follow, until its result is read
  int32_t zero_upsample;  ///< the input is enlarged as by DPM_OP_ZERO_UPSAMPLE first; not with `upsample`
} dpm_convolution_attributes;

typedef struct dpm_group_norm_attributes {
  int32_t groups;
  float epsilon;
  int32_t silu;  ///< the result passes through SiLU
} dpm_group_norm_attributes;

typedef struct dpm_layer_norm_attributes {
  float epsilon;
} dpm_layer_norm_attributes;

typedef struct dpm_attention_attributes {
  int32_t heads;
  int32_t causal;  ///< query i attends to keys 0 to i alone; as many keys as queries
} dpm_attention_attributes;

typedef struct dpm_affine_attributes {
  float scale;
  float shift;
} dpm_affine_attributes;

typedef struct dpm_upsample_attributes {
  int32_t height;  ///< height of the result; 0: twice the map's
  int32_t width;   ///< width of the result; 0: twice the map's
} dpm_upsample_attributes;

typedef struct dpm_fir_upsample_attributes {
  int32_t extension;  ///< extra elements on either side: 0 or 1
} dpm_fir_upsample_attributes;

typedef struct dpm_fir_downsample_attributes {
  int32_t padding;
} dpm_fir_downsample_attributes;

DPM_OPEN_ENUM(dpm_activation){
    DPM_ACTIVATION_MISH = 0,        ///< x tanh(ln(1 + e^x))
    DPM_ACTIVATION_GELU = 1,        ///< x (1 + erf(x / sqrt(2))) / 2
    DPM_ACTIVATION_RELU = 2,        ///< max(x, 0)
    DPM_ACTIVATION_SILU = 3,        ///< x sigmoid(x); for DPM_OP_ACTIVATION_BACKWARD only
    DPM_ACTIVATION_QUICK_GELU = 4,  ///< x sigmoid(1.702 x)
    DPM_ACTIVATION_TANH = 5,        ///< tanh(x)
};
/// Number of activations.
enum { DPM_ACTIVATION_COUNT = DPM_ACTIVATION_TANH + 1 };

typedef struct dpm_activation_attributes {
  uint32_t kind;  ///< function, a dpm_activation
} dpm_activation_attributes;

typedef struct dpm_view_attributes {
  int32_t first;  ///< first channel
  int32_t channels;
  int32_t height;
  int32_t width;
} dpm_view_attributes;

typedef struct dpm_embedding_weights_attributes {
  int32_t rows;  ///< rows of the table
} dpm_embedding_weights_attributes;

typedef struct dpm_dropout_attributes {
  float rate;  ///< probability of 0, from 0 to below 1
  uint32_t draw;
  uint32_t seed_low;
  uint32_t seed_high;
} dpm_dropout_attributes;

/// Attributes of a node's operation; operations without a member have none.
typedef union dpm_attributes {
  dpm_time_embedding_attributes time_embedding;
  dpm_convolution_attributes convolution;
  dpm_group_norm_attributes group_norm;
  dpm_layer_norm_attributes layer_norm;
  dpm_attention_attributes attention;
  dpm_affine_attributes affine;
  dpm_upsample_attributes upsample;
  dpm_fir_upsample_attributes fir_upsample;
  dpm_fir_downsample_attributes fir_downsample;
  dpm_activation_attributes activation;
  dpm_view_attributes view;
  dpm_embedding_weights_attributes embedding_weights;
  dpm_dropout_attributes dropout;
} dpm_attributes;

#ifdef __cplusplus
}
#endif
