/* The names of what networks read and write that every device and the engine know. */
#pragma once

#define DPM_BINDING_IMAGE "image"   /* network input, NCHW float32 */
#define DPM_BINDING_TIME "time"     /* one float32 per sample */
#define DPM_BINDING_LABEL "label"   /* one int32 per sample, -1 for no label; the tensor may be absent */
#define DPM_BINDING_OUTPUT "output" /* network output, NCHW float32 */
#define DPM_BINDING_HEAD "head"     /* second output, NCHW float32 */
