// The correspondence of the seam's C enums with the engine's own enum types.
#pragma once

#include "backend/backend.h"
#include "core/dtype.h"
#include "core/error.h"

namespace dpm {

static_assert(static_cast<int>(ErrorCode::kOk) == DPM_OK);
static_assert(static_cast<int>(ErrorCode::kArgument) == DPM_ERROR_ARGUMENT);
static_assert(static_cast<int>(ErrorCode::kUnsupported) == DPM_ERROR_UNSUPPORTED);
static_assert(static_cast<int>(ErrorCode::kOutOfMemory) == DPM_ERROR_OUT_OF_MEMORY);
static_assert(static_cast<int>(ErrorCode::kDevice) == DPM_ERROR_DEVICE);
static_assert(static_cast<int>(ErrorCode::kInternal) == DPM_ERROR_INTERNAL);
static_assert(static_cast<int>(ErrorCode::kAborted) == DPM_ERROR_ABORTED);
static_assert(static_cast<int>(ErrorCode::kClosed) == DPM_ERROR_CLOSED);
static_assert(static_cast<int>(ErrorCode::kFile) == DPM_ERROR_FILE);
static_assert(static_cast<int>(ErrorCode::kFileTruncated) == DPM_ERROR_FILE_TRUNCATED);
static_assert(static_cast<int>(ErrorCode::kTensorMissing) == DPM_ERROR_TENSOR_MISSING);
static_assert(static_cast<int>(ErrorCode::kTensorShape) == DPM_ERROR_TENSOR_SHAPE);

static_assert(static_cast<int>(DType::kFloat32) == DPM_DTYPE_F32);
static_assert(static_cast<int>(DType::kFloat16) == DPM_DTYPE_F16);
static_assert(static_cast<int>(DType::kBFloat16) == DPM_DTYPE_BF16);

}  // namespace dpm
