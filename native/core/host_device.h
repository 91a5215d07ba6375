// Marks functions that CPU and GPU kernels share.
#pragma once

#if defined(__CUDACC__)
#define DPM_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define DPM_HOST_DEVICE inline __attribute__((always_inline))
#endif
