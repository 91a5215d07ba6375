// The seam between the engine and a device: a C ABI of plain structs, so that a device can be a plug-in built by
// another compiler. No C++ standard type and no exception crosses it.
//
// A device sees the network as a graph of nodes over values. Values are maps of C x H x W per sample (vectors are C x 1
// x 1). A device chooses their layout in its arena, except for values that are bound to tensors of the caller, which
// are NCHW.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "backend/binding_names.h"
#include "backend/operations.h"
#include "backend/record.h"

/// Marks functions that let no exception out: in C++ it is part of their type, so the compiler checks every table of
/// entries.
#ifdef __cplusplus
#define DPM_NOEXCEPT noexcept
extern "C" {
#else
#define DPM_NOEXCEPT
#endif

enum { DPM_BACKEND_ABI = 20 };

/// The only symbol that a plug-in exports, of type dpm_backend_entry_function.
#define DPM_BACKEND_ENTRY "dpm_backend_entry"

/// A value of dpm_status_code.
typedef int dpm_status;

enum dpm_status_code {
  DPM_OK = 0,
  DPM_ERROR_ARGUMENT = 1,
  DPM_ERROR_UNSUPPORTED = 2,
  DPM_ERROR_OUT_OF_MEMORY = 3,
  DPM_ERROR_DEVICE = 4,
  DPM_ERROR_INTERNAL = 5,
  DPM_ERROR_ABORTED = 6,
  DPM_ERROR_CLOSED = 7,
  DPM_ERROR_FILE = 8,
  DPM_ERROR_FILE_TRUNCATED = 9,
  DPM_ERROR_TENSOR_MISSING = 10,
  DPM_ERROR_TENSOR_SHAPE = 11,
};

/// Results of `probe` for a device that cannot be used.
enum dpm_probe_result {
  DPM_PROBE_UNUSABLE = 0,
  DPM_PROBE_NO_SUCH_DEVICE = -1,
  DPM_PROBE_OLD_DRIVER = -2,  ///< result for index 0 only: a build of the plug-in for older drivers may support the
                              ///< device
};

/// Storage types of the numbers of weights and networks.
enum dpm_dtype { DPM_DTYPE_F32 = 0, DPM_DTYPE_F16 = 1, DPM_DTYPE_BF16 = 2 };

typedef struct dpm_message {
  char text[512];
} dpm_message;

typedef struct dpm_device dpm_device;
typedef struct dpm_buffer dpm_buffer;
typedef struct dpm_network dpm_network;
typedef struct dpm_executable dpm_executable;
typedef struct dpm_transfer dpm_transfer;

/// Elements of a buffer: sample n starts at offset + n*stride. `buffer` is null where a tensor is absent.
typedef struct dpm_view {
  dpm_buffer* buffer;
  uint64_t offset;
  uint64_t stride;
} dpm_view;

/// Number of values of a kind in an evaluation: one for each row of the batch, one for all, or one for each group of
/// rows.
DPM_OPEN_ENUM(dpm_varies){DPM_VARIES_ROW = 0, DPM_VARIES_SHARED = 1, DPM_VARIES_GROUP = 2};

/// A value, or a range of another value's channels when parent >= 0. A shared value is the bound result of a node that
/// sums over rows; no node reads it. A value of groups is a bound input, of which rows read that of their group.
typedef struct dpm_value {
  int32_t channels;
  int32_t height;
  int32_t width;
  uint32_t varies;  ///< dpm_varies
  int32_t parent;
  int32_t channel_offset;
  int32_t binding;  ///< index in the bindings of dpm_graph, -1 where the value is internal
} dpm_value;

enum dpm_direction { DPM_DIRECTION_INPUT = 0, DPM_DIRECTION_OUTPUT = 1 };
enum dpm_element { DPM_ELEMENT_F32 = 0, DPM_ELEMENT_I32 = 1 };

/// A value that is a tensor of the caller. Its name is looked up once, at loading.
typedef struct dpm_binding {
  const char* name;    ///< name of the tensor; binding_names.h has the standard names
  uint32_t direction;  ///< dpm_direction
  uint32_t element;    ///< dpm_element
  int32_t value;
} dpm_binding;

/// How a constant lies among the parameters of a training run.
DPM_OPEN_ENUM(dpm_parameter_kind){
    DPM_PARAMETER_NONE = 0,        ///< not at all: it stays as it was loaded
    DPM_PARAMETER_PLAIN = 1,       ///< its elements in row-major order
    DPM_PARAMETER_TRANSPOSED = 2,  ///< the elements in row-major order of the weight that it is the transposed one of:
                                   ///< first two axes exchanged, the others reversed
};

/// The place of a constant in the tensor of all parameters, from which `repack` reads it.
typedef struct dpm_parameter {
  uint64_t offset;  ///< offset of its first element, in elements
  uint32_t kind;    ///< dpm_parameter_kind
} dpm_parameter;

/// A weight, valid only while `load` runs: in host memory, possibly unaligned, or to be read by `read` where `data` is
/// null. Its elements lie in row-major order. Where view_rank > 0 they lie in the row-major order of view_dims (the
/// same number of elements) with strides in elements: transposed, or interleaved with other weights. Devices read it by
/// constant.h.
typedef struct dpm_constant {
  const void* data;
  /// Writes to `to` the `bytes` bytes that `data` would point to.
  dpm_status (*read)(const void* source, void* to, dpm_message* message) DPM_NOEXCEPT;
  const void* source;
  uint64_t bytes;
  uint32_t dtype;  ///< dpm_dtype
  uint32_t rank;
  int64_t dims[4];
  uint32_t view_rank;
  int64_t view_dims[4];
  int64_t view_strides[4];
  uint64_t identity;  ///< constants of the same number, other than 0, have the same elements and dimensions
  dpm_parameter parameter;
} dpm_constant;

/// An operation of the graph.
typedef struct dpm_node {
  const char* name;  ///< name for messages
  uint32_t op;       ///< operation, a dpm_op
  uint32_t input_count;
  uint32_t output_count;
  uint32_t weight_count;
  uint32_t bias_count;
  const int32_t* inputs;   ///< indices of values, -1 where an optional one is absent
  const int32_t* outputs;  ///< indices of values
  const int32_t* weights;  ///< indices of constants
  const int32_t* biases;   ///< indices of constants
  dpm_attributes attributes;
} dpm_node;

typedef struct dpm_graph {
  const dpm_value* values;
  uint32_t value_count;
  const dpm_node* nodes;
  uint32_t node_count;
  const dpm_constant* constants;
  uint32_t constant_count;
  const dpm_binding* bindings;
  uint32_t binding_count;
} dpm_graph;

/// Places of values: sample n of value v starts at element batch*offsets[v] + n*C*H*W of the arena. Views have the
/// offset of their root; bound values have none, and shared ones are bound.
typedef struct dpm_plan {
  uint32_t batch;
  const uint64_t* offsets;
  dpm_buffer* arena;
} dpm_plan;

/// The tensors of one evaluation, in the order of the graph's bindings. Shared values are added to their tensors, which
/// have a stride of 0 and their elements in row-major order; several may have one tensor.
typedef struct dpm_bindings {
  uint32_t batch;  ///< number of samples, at most the plan's
  uint32_t count;  ///< number of bindings, equal to the graph's
  const dpm_view* views;
  dpm_view groups;  ///< group of each row, uint32, whose number the tensors of groups have; absent: row n is group n
} dpm_bindings;

/// Rows that one sample of a fused update reads and writes.
typedef struct dpm_update_sample {
  const dpm_record* record;
  uint32_t row;          ///< row of x, y and history
  uint32_t network_row;  ///< row of out, head and guide
  uint32_t noise_row;    ///< row of noise, where it is given
  uint32_t seed_low;
  uint32_t seed_high;
  uint32_t sample_index;
  uint32_t record_index;
  uint32_t draw;
} dpm_update_sample;

/// One fused update of `batch` samples of `elements` each (record.h). Without `noise`, normals come from
/// Philox4x32-10 with key (seed) and counter (element/4, record_index, sample_index, draw).
typedef struct dpm_update {
  uint32_t batch;
  uint64_t elements;
  const dpm_update_sample* samples;
  dpm_view x;
  dpm_view y;
  dpm_view out;
  dpm_view head;
  dpm_view guide;
  dpm_view noise;
  dpm_view history[DPM_MAX_HISTORY];
} dpm_update;

/// destination[network_row] = input_scale * (read_y ? y : x)[row] for every sample.
typedef struct dpm_gather {
  uint32_t batch;
  uint64_t elements;
  const dpm_update_sample* samples;
  dpm_view x;
  dpm_view y;
  dpm_view destination;
} dpm_gather;

/// Programs that run together: in step i sample n executes the record of update.samples[i * batch + n]; row,
/// network_row and the sample's place in every view are n. In each step either all records evaluate the network or none
/// does. The records and samples are not used after `begin`; the views are used until the last step is done. The
/// network reads the image from the update's registers and the time from the records, and writes `update.out` and
/// `update.head`; it has the standard bindings only.
typedef struct dpm_trajectory {
  uint32_t steps;
  dpm_update update;  ///< the update, of at most the plan's batch; `head` is the second output, or the second half of
                      ///< the first
  dpm_view labels;
} dpm_trajectory;

/// One step of a batch that samples join and leave. Row j of the network is that of sample j of the update, whose
/// network_row is j; the unconditional row of every guided sample comes behind these. More rows may be computed: `out`
/// and `head` of the update have room for them. The network has the standard bindings only, reads the images from the
/// update's registers and the times from the records. Host memory is not used after the call.
typedef struct dpm_step {
  const void* owner;       ///< owner of the step, to which alone its seconds are reported; null: they are not reported
  dpm_update update;       ///< the update, of at least one sample; every record evaluates
  uint32_t least_rows;     ///< minimum of rows to compute, even if the network sees fewer
  const int32_t* labels;   ///< one label for every row that the network sees; null: no row has one
  uint32_t guided_count;   ///< number of samples whose prediction becomes unconditional + w (own - unconditional)
  const uint32_t* guided;  ///< indices of these samples in the update
  const float* guidance;   ///< weight w of each of these samples
  uint32_t kept_count;     ///< number of samples whose whole outputs are copied to their rows of the registers
  const uint32_t* kept;    ///< indices of these samples in the update
  dpm_view kept_out;       ///< destination of the copied outputs
  dpm_view kept_head;      ///< destination of the second outputs; absent where the network has one output
} dpm_step;

enum dpm_reduction {
  DPM_REDUCE_SUM = 0,
  DPM_REDUCE_SUM_SQUARES = 1,
  DPM_REDUCE_DOT = 2,
  DPM_REDUCE_MAX_ABS = 3,
};

typedef struct dpm_reduce {
  uint32_t kind;
  uint32_t batch;
  uint64_t elements;
  dpm_view a;
  dpm_view b;
  double* result;  ///< one result per sample
} dpm_reduce;

/// Parameters from which a network's weights are packed again. They stay as they are, and where they are, while the
/// network is evaluated: a device may pack a weight only when an evaluation comes to it.
typedef struct dpm_repack {
  dpm_view parameters;
  uint64_t version;  ///< number of what the parameters hold, above 0; weights that networks share and that were packed
                     ///< of the same number need not be packed again
} dpm_repack;

/// One step of Adam (Kingma and Ba 2015), with decoupled decay AdamW (Loshchilov and Hutter 2019), for every element:
///
///   g = gradient_scale * gradients
///   p = kept * parameters
///   m = first_moments + first_rate * (g - first_moments)
///   v = second_kept * second_moments + second_rate * g^2
///   p = p - step * m / (root_scale * sqrt(v) + epsilon)
///   a = average + average_rate * (p - average)
///
/// The gradients become 0, so that the next evaluation adds to nothing.
typedef struct dpm_optimize {
  uint64_t elements;
  dpm_view parameters;
  dpm_view gradients;
  dpm_view first_moments;
  dpm_view second_moments;
  dpm_view average;
  float gradient_scale;
  float kept;         ///< 1 - rate * decay
  float first_rate;   ///< 1 - beta1
  float second_kept;  ///< beta2
  float second_rate;  ///< 1 - beta2
  float step;         ///< rate / (1 - beta1^k) in step k = 1, 2, ...
  float root_scale;   ///< 1 / sqrt(1 - beta2^k)
  float epsilon;
  float average_rate;  ///< 1 - decay of the average
} dpm_optimize;

typedef struct dpm_memory {
  uint64_t host;
  uint64_t device;
  uint64_t peak_device;
} dpm_memory;

/// Counts of a device's work since it was opened.
typedef struct dpm_statistics {
  uint64_t captured_graphs;
  uint64_t failed_captures;  ///< captures that failed: their work was queued piece by piece
  uint64_t graph_nodes;      ///< nodes of the graph that was captured last
  uint64_t plans;            ///< plans of the vendor's library
  uint64_t refused_plans;    ///< products that the device's own kernels do in place of the vendor's library
  double planning_seconds;
} dpm_statistics;

typedef struct dpm_open_options {
  uint32_t struct_size;
  int32_t index;
  int32_t threads;   ///< number of threads; 0: as many as the process may use
  int32_t exact;     ///< forbid algorithms that trade accuracy for speed
  uint32_t dtype;    ///< dpm_dtype of the computations in networks; states are always float32
  int32_t tf32;      ///< float32 products may round their operands to TF32
  int32_t autotune;  ///< choose among algorithms by measuring them
} dpm_open_options;

/// Sizes of the structs that cross the seam, as the including code was compiled.
#define DPM_STRUCT_SIZES                                                                                          \
  (sizeof(dpm_message) + sizeof(dpm_record) + sizeof(dpm_view) + sizeof(dpm_value) + sizeof(dpm_constant) +       \
   sizeof(dpm_attributes) + sizeof(dpm_node) + sizeof(dpm_binding) + sizeof(dpm_graph) + sizeof(dpm_plan) +       \
   sizeof(dpm_bindings) + sizeof(dpm_update_sample) + sizeof(dpm_update) + sizeof(dpm_gather) +                   \
   sizeof(dpm_trajectory) + sizeof(dpm_step) + sizeof(dpm_reduce) + sizeof(dpm_memory) + sizeof(dpm_statistics) + \
   sizeof(dpm_open_options) + sizeof(dpm_parameter) + sizeof(dpm_repack) + sizeof(dpm_optimize))

// The entries of a device, grouped by the object that they act on. Functions that can fail return a dpm_status and fill
// `message`. A device is used by one thread at a time, but entries marked (any thread) may be called while another
// thread uses it for something else. Every pointer and range in a request has been checked by the engine. Entries
// marked (optional) are null where a device has no use for them; all others must be set.

/// Entries of the device itself.
typedef struct dpm_device_entries {
  /// Returns the preference of device `index` over others, or one of dpm_probe_result; fills `description` or `reason`,
  /// whichever applies.
  int (*probe)(int32_t index, dpm_message* description, dpm_message* reason) DPM_NOEXCEPT;
  dpm_status (*open)(const dpm_open_options* options, dpm_device** device, dpm_message* message) DPM_NOEXCEPT;
  void (*close)(dpm_device* device) DPM_NOEXCEPT;
  int (*threads)(dpm_device* device) DPM_NOEXCEPT;
  /// Returns the bytes of an element of the networks' maps.
  uint32_t (*arena_element_bytes)(dpm_device* device) DPM_NOEXCEPT;
  /// Fills `memory` (any thread).
  void (*memory)(dpm_device* device, dpm_memory* memory) DPM_NOEXCEPT;
  /// Measures the maximum of float32 multiply-adds, in GFLOP/s, and of a copy (read and write), in GB/s.
  dpm_status (*peak)(dpm_device* device, double* gflops, double* copy_gigabytes, dpm_message* message) DPM_NOEXCEPT;
  /// Frees the cache of released memory once the work that may use it is done (optional).
  dpm_status (*trim)(dpm_device* device, dpm_message* message) DPM_NOEXCEPT;
  /// Fills `statistics` (optional, any thread).
  void (*statistics)(dpm_device* device, dpm_statistics* statistics) DPM_NOEXCEPT;
} dpm_device_entries;

/// Entries of networks and their executables.
typedef struct dpm_network_entries {
  /// Returns whether the device runs `node` of `graph` as it stands; passes ask this before they fuse.
  int (*supports)(dpm_device* device, const dpm_graph* graph, const dpm_node* node) DPM_NOEXCEPT;
  /// Packs the weights of a graph. The graph and its constants are not used after the call.
  dpm_status (*load)(dpm_device* device, const dpm_graph* graph, dpm_network** network,
                     dpm_message* message) DPM_NOEXCEPT;
  /// Destroys a network (any thread).
  void (*unload)(dpm_network* network) DPM_NOEXCEPT;
  dpm_status (*compile)(dpm_network* network, const dpm_plan* plan, dpm_executable** executable,
                        dpm_message* message) DPM_NOEXCEPT;
  /// Destroys an executable (any thread).
  void (*discard)(dpm_executable* executable) DPM_NOEXCEPT;
  /// Runs one network evaluation. Where `node_seconds` is given, it receives the time of every node.
  dpm_status (*run)(dpm_executable* executable, const dpm_bindings* bindings, double* node_seconds,
                    dpm_message* message) DPM_NOEXCEPT;
  /// Returns the number of rows that an evaluation of `rows` computes (optional; null: each number of rows has plans of
  /// its own).
  uint32_t (*padded)(dpm_executable* executable, uint32_t rows) DPM_NOEXCEPT;

  /// Trajectories (optional, both; null: whole trajectories cost as much as their steps). `begin` prepares one, in
  /// place of the executable's last one. `advance` queues its next `steps`, which may be none, and returns when those
  /// of earlier calls are done; with `wait`, when those of this call are done, too.
  dpm_status (*begin)(dpm_executable* executable, const dpm_trajectory* trajectory, dpm_message* message) DPM_NOEXCEPT;
  dpm_status (*advance)(dpm_executable* executable, uint32_t steps, uint32_t wait, dpm_message* message) DPM_NOEXCEPT;

  /// Steps of batches (optional, both; a device with these also has transfers). `step` queues a step, and returns when
  /// the one before it is done, no matter who its owner is: `seconds` is the time of the owner's steps that are done
  /// and were not yet reported. `settle` waits for the last step.
  dpm_status (*step)(dpm_executable* executable, const dpm_step* step, double* seconds,
                     dpm_message* message) DPM_NOEXCEPT;
  dpm_status (*settle)(dpm_executable* executable, const void* owner, double* seconds,
                       dpm_message* message) DPM_NOEXCEPT;

  /// Packs the weights with a place among the parameters again (optional; null: weights do not move). Networks with
  /// such weights keep nothing from one evaluation to the next that depends on weights, and are evaluated after their
  /// first `repack` only.
  dpm_status (*repack)(dpm_network* network, const dpm_repack* repack, dpm_message* message) DPM_NOEXCEPT;
} dpm_network_entries;

/// Entries of buffers, and of computations on them outside networks.
typedef struct dpm_state_entries {
  /// Allocates a buffer (any thread).
  dpm_status (*allocate)(dpm_device* device, uint64_t bytes, dpm_buffer** buffer, dpm_message* message) DPM_NOEXCEPT;
  /// Releases a buffer (any thread).
  void (*release)(dpm_device* device, dpm_buffer* buffer) DPM_NOEXCEPT;
  dpm_status (*upload)(dpm_device* device, dpm_buffer* buffer, uint64_t offset, const void* data, uint64_t bytes,
                       dpm_message* message) DPM_NOEXCEPT;
  /// Sets `bytes` bytes from `offset` on to zero.
  dpm_status (*clear)(dpm_device* device, dpm_buffer* buffer, uint64_t offset, uint64_t bytes,
                      dpm_message* message) DPM_NOEXCEPT;
  dpm_status (*download)(dpm_device* device, const dpm_buffer* buffer, uint64_t offset, void* data, uint64_t bytes,
                         dpm_message* message) DPM_NOEXCEPT;
  /// Copies float32 elements from `offset` on to the host as 8-bit levels: 127.5 * (x + 1), limited to 0 and 255,
  /// rounded to the nearest; 0 for NaN.
  dpm_status (*download_levels)(dpm_device* device, const dpm_buffer* buffer, uint64_t offset, uint8_t* levels,
                                uint64_t elements, dpm_message* message) DPM_NOEXCEPT;
  dpm_status (*gather)(dpm_device* device, const dpm_gather* gather, dpm_message* message) DPM_NOEXCEPT;
  dpm_status (*update)(dpm_device* device, const dpm_update* update, dpm_message* message) DPM_NOEXCEPT;
  dpm_status (*reduce)(dpm_device* device, const dpm_reduce* reduce, dpm_message* message) DPM_NOEXCEPT;
  /// Takes a step of an optimiser (optional).
  dpm_status (*optimize)(dpm_device* device, const dpm_optimize* optimize, dpm_message* message) DPM_NOEXCEPT;
} dpm_state_entries;

/// Copies to the host that run beside the device's work (optional, all: a download then waits for nothing but itself).
typedef struct dpm_transfer_entries {
  /// Begins to copy elements to the host, as floats or, with `as_levels`, as `download_levels` does, and does not wait:
  /// work that is queued later does not change the copied values.
  dpm_status (*begin)(dpm_device* device, const dpm_buffer* buffer, uint64_t offset, uint64_t elements,
                      uint32_t as_levels, dpm_transfer** transfer, dpm_message* message) DPM_NOEXCEPT;
  /// Waits for the copy. Its elements are at `values` until the transfer is ended.
  dpm_status (*finish)(dpm_device* device, const dpm_transfer* transfer, const void** values,
                       dpm_message* message) DPM_NOEXCEPT;
  /// Ends a transfer, even before it is finished (any thread).
  void (*end)(dpm_device* device, dpm_transfer* transfer) DPM_NOEXCEPT;
} dpm_transfer_entries;

/// The table of a kind of device.
typedef struct dpm_backend {
  uint32_t abi_version;   ///< value of DPM_BACKEND_ABI
  uint32_t struct_size;   ///< size of this struct
  uint32_t struct_sizes;  ///< value of DPM_STRUCT_SIZES
  const char* name;
  /// Tells whether a convolution may write over its residual.
  uint32_t residual_in_place;
  /// Tells whether a node that reads a norm's result may compute it, and so reads the norm's inputs.
  uint32_t norms_are_joined;
  /// Tells whether a norm right after the convolution whose result it reads may complete that result, and so reads the
  /// convolution's vector and residual.
  uint32_t norms_complete_sums;

  dpm_device_entries device;
  dpm_network_entries network;
  dpm_state_entries state;
  dpm_transfer_entries transfers;
} dpm_backend;

typedef const dpm_backend* (*dpm_backend_entry_function)(void)DPM_NOEXCEPT;

#ifdef __cplusplus
}
#endif
