// The binary record of a step program: one network evaluation and one fused update. A plain struct of 32-bit words,
// little-endian, shared by every device and by TypeScript (lib/program/pack.ts). A change here needs a new
// DPM_BACKEND_ABI and a new version of the addon's interface.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { DPM_MAX_HISTORY = 8 };

/// Bits of dpm_record::flags.
enum dpm_record_flag {
  DPM_RECORD_EVALUATE = 1u << 0,       ///< the network runs; otherwise `out` and `head` keep their values
  DPM_RECORD_READ_Y = 1u << 1,         ///< the network and the predictions read y instead of x
  DPM_RECORD_WRITE_X = 1u << 2,        ///< x is replaced
  DPM_RECORD_WRITE_Y = 1u << 3,        ///< y is replaced, after x
  DPM_RECORD_STORE_HISTORY = 1u << 4,  ///< m[slot] is kept for later records
  DPM_RECORD_NOISELESS = 1u << 5,      ///< the variance serves the guide only: no noise is added
};

enum dpm_clip_mode { DPM_CLIP_NONE = 0, DPM_CLIP_STATIC = 1, DPM_CLIP_DYNAMIC = 2 };

enum dpm_variance_form {
  DPM_VARIANCE_NONE = 0,
  DPM_VARIANCE_SCALAR = 1,  ///< noise of standard deviation `deviation`
  DPM_VARIANCE_LINEAR = 2,  ///< variance clamp(v0 + v1*head + v2*eps^2, low, high)
  DPM_VARIANCE_LOG = 3,     ///< variance clamp(exp(v0 + v1*head), low, high)
};

/// With `in` = readY ? y : x, `out` and `head` the network's outputs and z standard normal noise:
///
///   x0      = x0_in*in + x0_out*out, clipped
///   m[slot] = history_in*in + history_x0*x0 + history_guide*g
///   x'      = x_x*x + x_y*y + x_out*out + sum_j x_history[j]*m[j] + (x_guide + x_guide_variance*variance)*g
///           + sqrt(variance)*z, the last unless the record is noiseless
///   y'      = y_x*x' + y_y*y + y_out*out + sum_j y_history[j]*m[j] + y_guide*g
///
/// g is a guide's gradient at the network's input; where it is absent, so are its terms.
///
/// In x' and y' a coefficient of zero leaves its tensor out: the tensor may be absent, or hold anything. Elsewhere a
/// tensor with coefficient zero is absent or finite. The exception is the outputs before a program's first evaluation:
/// they hold anything, so x0 and m, which are not used yet, become anything. The noise prediction of the variance forms
/// is eps = eps_in*in + eps_out*out, unclipped.
typedef struct dpm_record {
  uint32_t flags;
  uint32_t slot;
  uint32_t clip;      ///< mode of clipping, a dpm_clip_mode
  uint32_t variance;  ///< form of the variance, a dpm_variance_form
  float time;         ///< time for the time embedding
  float input_scale;  ///< the network sees input_scale*in
  float x0_in;
  float x0_out;
  float clip_low;   ///< static: lower bound; dynamic: quantile of |x0| in (0,1]
  float clip_high;  ///< static: upper bound; dynamic: lowest threshold
  float history_in;
  float history_x0;
  float x_x;
  float x_y;
  float x_out;
  float x_history[DPM_MAX_HISTORY];
  float deviation;
  float v0;
  float v1;
  float v2;
  float eps_in;
  float eps_out;
  float low;
  float high;
  float y_x;
  float y_y;
  float y_out;
  float y_history[DPM_MAX_HISTORY];
  float clip_ceiling;  ///< dynamic: highest threshold, which wins over the lowest; infinite: no limit
  float history_guide;
  float x_guide;
  float x_guide_variance;  ///< coefficient of g times variance, for variance forms that have one variance per element
  float y_guide;
  uint32_t reserved;
} dpm_record;

#ifdef __cplusplus
}
static_assert(sizeof(dpm_record) == 192, "the record is 48 words");
#endif
