/* Names of the bindings of networks that every device and the engine know. */
#pragma once

#define DPM_BINDING_IMAGE "image"   /* network input, NCHW float32 */
#define DPM_BINDING_TIME "time"     /* one float32 per sample */
#define DPM_BINDING_LABEL "label"   /* one int32 per sample, -1 for no label; the tensor may be absent */
#define DPM_BINDING_OUTPUT "output" /* network output, NCHW float32 */
#define DPM_BINDING_HEAD "head"     /* second output, NCHW float32 */

/* What a network sees beside its image, NCHW float32, read: keys and values of a text's attention, [C, tokens, 1]; a
 * vector that is embedded and added to the time's embedding; features of a guidance weight, added to those of the time.
 */
#define DPM_BINDING_CONTEXT "context"
#define DPM_BINDING_ADDED "added"
#define DPM_BINDING_GUIDANCE "guidance"

/* Bindings of derivatives, NCHW float32: a pullback ends at the image, a pushforward begins there. */
#define DPM_BINDING_OUTPUT_COTANGENT "output_cotangent" /* read */
#define DPM_BINDING_HEAD_COTANGENT "head_cotangent"     /* read */
#define DPM_BINDING_IMAGE_COTANGENT "image_cotangent"   /* written */
/* Written, one for each row, also where rows share a context. */
#define DPM_BINDING_CONTEXT_COTANGENT "context_cotangent"
#define DPM_BINDING_IMAGE_TANGENT "image_tangent"   /* read */
#define DPM_BINDING_OUTPUT_TANGENT "output_tangent" /* written */
#define DPM_BINDING_HEAD_TANGENT "head_tangent"     /* written */

/* Bindings of a square loss of the output: target has its shape, the loss weight is one float32 per sample. The
 * output's cotangent is then written: 2 weight (output - target), whose sum of squares is 4 weight times the sample's
 * loss. */
#define DPM_BINDING_TARGET "target"           /* read */
#define DPM_BINDING_LOSS_WEIGHT "loss_weight" /* read */

/* What dropout takes: bytes of each sample's step and slot in a training run, [8, 1, 1] float32, read. */
#define DPM_BINDING_DRAWS "draws"

/* Prefix of the bindings of gradients, before the name of a constant: written by being added to, one for all rows. */
#define DPM_BINDING_GRADIENT "gradient."
