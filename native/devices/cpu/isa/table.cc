#include "devices/cpu/isa/functions.h"

#define DPM_ISA_TEXT_(name) #name
#define DPM_ISA_TEXT(name) DPM_ISA_TEXT_(name)

namespace dpm::cpu::DPM_ISA_NAMESPACE {

extern const IsaKernels kKernels;
const IsaKernels kKernels = {DPM_ISA_TEXT(DPM_ISA),
                             kWidth,
                             kTileRows,
                             kIndependentSums* kWidth,
                             tile,
                             tile_output,
                             multiply_adds,
                             winograd_weights,
                             winograd_input,
                             winograd_output,
                             outer_product,
                             transpose,
                             winograd_cotangent,
                             winograd_gradient,
                             channel_statistics,
                             channel_affine,
                             activation,
                             activation_backward,
                             norm_derivative_sums,
                             norm_derivative,
                             add,
                             layer_norm,
                             layer_norm_backward,
                             geglu_backward,
                             geglu,
                             softmax_part,
                             softmax,
                             softmax_derivative,
                             update,
                             absolute_prediction,
                             scaled_copy,
                             optimize,
                             nullptr};

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
