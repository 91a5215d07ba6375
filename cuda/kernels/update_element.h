// The fused update of one thread's elements, for the kernels that include it.
#pragma once

#include <cstdint>

#include "backend/update_math.h"
#include "core/philox.h"
#include "cuda/kernels/update.h"

namespace dpm::cuda {

/// Elements of a thread: the normals of one counter.
constexpr int kQuad = 4;

struct Quad {
  float value[kQuad];
};

template <bool Whole>
__device__ Quad load_quad(const Rows& rows, std::uint32_t row, std::uint64_t first, int count) {
  Quad quad = {};
  if (rows.data == nullptr) return quad;
  const float* source = rows.data + row * rows.stride + first;
  if constexpr (Whole) {
    const float4 whole = *reinterpret_cast<const float4*>(source);
    quad = {{whole.x, whole.y, whole.z, whole.w}};
  } else {
    for (int i = 0; i < count; ++i) quad.value[i] = source[i];
  }
  return quad;
}

template <bool Whole>
__device__ void store_quad(const Rows& rows, std::uint32_t row, std::uint64_t first, int count, const Quad& quad) {
  float* target = rows.data + row * rows.stride + first;
  if constexpr (Whole) {
    *reinterpret_cast<float4*>(target) = make_float4(quad.value[0], quad.value[1], quad.value[2], quad.value[3]);
  } else {
    for (int i = 0; i < count; ++i) target[i] = quad.value[i];
  }
}

__device__ inline void add(Quad& sum, float coefficient, const Quad& term) {
  // The term is skipped, because zero times the contents of an unused register might be NaN.
  if (coefficient == 0.0F) return;
  for (int i = 0; i < kQuad; ++i) sum.value[i] += coefficient * term.value[i];
}

__device__ inline Quad draw_normals(const UpdateSample& sample, std::uint64_t first) {
  const PhiloxWords words = philox4x32(static_cast<std::uint32_t>(first / kQuad), sample.record_index,
                                       sample.sample_index, sample.draw, sample.seed_low, sample.seed_high);
  Quad z;
  box_muller(words.word[0], words.word[1], &z.value[0], &z.value[1]);
  box_muller(words.word[2], words.word[3], &z.value[2], &z.value[3]);
  return z;
}

__device__ inline float clipped(const dpm_record& record, float x0, float threshold) {
  if (record.clip == DPM_CLIP_STATIC) return update::clamp(x0, record.clip_low, record.clip_high);
  if (record.clip == DPM_CLIP_DYNAMIC) return update::thresholded(x0, threshold);
  return x0;
}

__device__ inline float variance(const dpm_record& record, float in, float out, float head) {
  if (record.variance == DPM_VARIANCE_SCALAR) return record.deviation * record.deviation;
  if (record.variance == DPM_VARIANCE_LINEAR) return update::linear_variance(record, in, out, head);
  return update::log_variance(record, head);
}

__device__ inline float deviation(const dpm_record& record, float in, float out, float head) {
  if (record.variance == DPM_VARIANCE_SCALAR) return record.deviation;
  return sqrtf(variance(record, in, out, head));
}

/// One thread's elements of x and y after an update.
struct Updated {
  Quad x;
  Quad y;
};

/// One thread's elements of one sample. Without `Guided`, records with a guide are not supported: updates inside of
/// trajectories and steps, which have none, then cost no more.
template <bool Whole, bool Guided = false>
struct Element4 {
  const UpdateArguments& arguments;
  const UpdateSample& sample;
  std::uint64_t first;
  int count;

  __device__ Quad read(const Rows& rows, std::uint32_t row) const { return load_quad<Whole>(rows, row, first, count); }

  struct Factors {
    float x;
    float y;
    float out;
    float guide;
    const float* history;
  };

  __device__ Quad combine(const Factors& factors, const Quad& x, const Quad& y, const Quad& out, const Quad& guide,
                          const Quad& m) const {
    Quad sum = {};
    add(sum, factors.x, x);
    add(sum, factors.y, y);
    add(sum, factors.out, out);
    if constexpr (Guided) add(sum, factors.guide, guide);
    for (std::uint32_t j = 0; j < DPM_MAX_HISTORY; ++j) {
      if (factors.history[j] == 0.0F) continue;
      add(sum, factors.history[j], j == sample.record.slot ? m : read(arguments.history[j], sample.row));
    }
    return sum;
  }

  /// Adds the noise of this variance, and the part of the guide that it scales.
  template <typename Prediction>
  __device__ void add_variance(Quad& x, const Quad& in, const Quad& out, const Quad& guide,
                               const Prediction& prediction) const {
    const dpm_record& record = sample.record;
    const Quad head = record.variance == DPM_VARIANCE_SCALAR ? Quad{} : prediction.head();
    if ((record.flags & DPM_RECORD_NOISELESS) == 0) {
      const Quad z =
          arguments.noise.data != nullptr ? read(arguments.noise, sample.noise_row) : draw_normals(sample, first);
      for (int i = 0; i < kQuad; ++i) {
        x.value[i] += z.value[i] * deviation(record, in.value[i], out.value[i], head.value[i]);
      }
    }
    if constexpr (!Guided) return;
    if (record.x_guide_variance == 0.0F) return;
    for (int i = 0; i < kQuad; ++i) {
      const float scale = record.x_guide_variance * variance(record, in.value[i], out.value[i], head.value[i]);
      x.value[i] += scale * guide.value[i];
    }
  }

  /// Updates the elements; `prediction` has the network's out() and head() for them, and the latter is read only where
  /// it is needed.
  template <typename Prediction>
  __device__ Updated run(float threshold, const Prediction& prediction) const {
    const dpm_record& record = sample.record;
    Quad x = read(arguments.x, sample.row);
    Quad y = read(arguments.y, sample.row);
    const Quad out = prediction.out();
    const Quad in = (record.flags & DPM_RECORD_READ_Y) != 0 ? y : x;
    Quad m;
    for (int i = 0; i < kQuad; ++i) {
      const float x0 = update::data_prediction(record, in.value[i], out.value[i]);
      m.value[i] = update::solver_variable(record, in.value[i], clipped(record, x0, threshold));
    }
    Quad guide = {};
    if constexpr (Guided) {
      // The guide is zeros where there is none.
      guide = read(arguments.guide, sample.network_row);
      add(m, record.history_guide, guide);
    }
    if ((record.flags & DPM_RECORD_WRITE_X) != 0) {
      x = combine({record.x_x, record.x_y, record.x_out, record.x_guide, record.x_history}, x, y, out, guide, m);
      if (record.variance != DPM_VARIANCE_NONE) add_variance(x, in, out, guide, prediction);
      store_quad<Whole>(arguments.x, sample.row, first, count, x);
    }
    if ((record.flags & DPM_RECORD_WRITE_Y) != 0) {
      y = combine({record.y_x, record.y_y, record.y_out, record.y_guide, record.y_history}, x, y, out, guide, m);
      store_quad<Whole>(arguments.y, sample.row, first, count, y);
    }
    if ((record.flags & DPM_RECORD_STORE_HISTORY) != 0) {
      store_quad<Whole>(arguments.history[record.slot], sample.row, first, count, m);
    }
    return {x, y};
  }
};

/// The network's prediction as rows, for updates outside of trajectories.
template <typename Element>
struct PredictionRows {
  const Element& element;

  [[nodiscard]] __device__ Quad out() const { return element.read(element.arguments.out, element.sample.network_row); }
  [[nodiscard]] __device__ Quad head() const {
    return element.read(element.arguments.head, element.sample.network_row);
  }
};

/// Loads the sample that all threads of the block have in common.
__device__ inline void load_sample(UpdateSample& target, const UpdateSample& sample) {
  const auto* source = reinterpret_cast<const std::uint32_t*>(&sample);
  for (unsigned i = threadIdx.x; i < sizeof sample / sizeof *source; i += blockDim.x) {
    reinterpret_cast<std::uint32_t*>(&target)[i] = source[i];
  }
  __syncthreads();
}

inline bool is_whole(const Rows& rows) {
  return rows.data == nullptr || (rows.stride % kQuad == 0 && reinterpret_cast<std::uintptr_t>(rows.data) % 16 == 0);
}

/// Returns whether every thread has a whole quad of every row.
inline bool is_whole(const UpdateArguments& a) {
  bool whole = a.elements % kQuad == 0;
  for (const Rows& rows : {a.x, a.y, a.out, a.head, a.guide, a.noise}) whole = whole && is_whole(rows);
  for (const Rows& rows : a.history) whole = whole && is_whole(rows);
  return whole;
}

}  // namespace dpm::cuda
