#include "cuda/kernels/convert.h"
#include "cuda/kernels/step.h"
#include "cuda/kernels/update_element.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 256;

/// Selects the step's samples, one per block.
__global__ void __launch_bounds__(kThreads) select_step_kernel(SelectStepArguments a) {
  constexpr unsigned kWords = sizeof(UpdateSample) / sizeof(std::uint32_t);
  const unsigned n = blockIdx.x;
  const std::uint32_t now = a.table.progress->next;
  const UpdateSample* chosen = a.table.steps + std::uint64_t{now} * a.table.batch + n;
  const auto* source = reinterpret_cast<const std::uint32_t*>(chosen);
  auto* target = reinterpret_cast<std::uint32_t*>(a.table.current + n);
  for (unsigned i = threadIdx.x; i < kWords; i += blockDim.x) target[i] = source[i];
  if (threadIdx.x == 0) a.table.time[n] = chosen->record.time;
  for (int j = 0; j < a.conditions; ++j) {
    const StepCondition& condition = a.condition[j];
    const std::uint32_t* row = condition.rows + std::uint64_t{chosen->condition_row} * condition.words;
    std::uint32_t* current = condition.current + std::uint64_t{n} * condition.words;
    for (unsigned i = threadIdx.x; i < condition.words; i += blockDim.x) current[i] = row[i];
  }
  // Other blocks still read `next`, so the step's last kernel advances it.
  if (n == 0 && threadIdx.x == 0) a.table.progress->now = now;
}

/// A thread's elements in a map of the same image.
template <typename T>
struct MapElements {
  T* data;
  std::int64_t pixel_stride;
  std::uint32_t first;
  std::uint32_t pixels;

  __device__ MapElements(const Map<T>& map, std::int64_t n, std::uint64_t first_element, int pixels_of_map)
      : data(map.data + n * map.sample_stride),
        pixel_stride(map.pixel_stride),
        first(static_cast<std::uint32_t>(first_element)),
        pixels(static_cast<std::uint32_t>(pixels_of_map)) {}

  [[nodiscard]] __device__ T* at(int i) const {
    const std::uint32_t element = first + static_cast<std::uint32_t>(i);
    const std::uint32_t channel = element / pixels;
    return data + static_cast<std::int64_t>(element - channel * pixels) * pixel_stride + channel;
  }
};

/// The network's prediction at the place where it was written, on its way to the rows.
template <typename T, bool Whole>
class PredictionMaps {
 public:
  __device__ PredictionMaps(const FinishStepArguments<T>& a, const Element4<Whole>& element)
      : out_(read(a, element, a.out, 0, a.update.out)),
        // The head is stored whether or not this step reads it: the next one may read it without an evaluation.
        head_(is_there(a.head) ? read(a, element, a.head, 0, a.update.head)
                               : read(a, element, a.out, a.channels, a.update.head)) {}

  [[nodiscard]] __device__ Quad out() const { return out_; }
  [[nodiscard]] __device__ Quad head() const { return head_; }

 private:
  static __device__ bool is_there(const PredictionMap<T>& map) {
    return map.stored.data != nullptr || map.floats.data != nullptr;
  }

  template <typename Stored>
  static __device__ Quad read(const FinishStepArguments<T>& a, const Element4<Whole>& element,
                              const Map<const Stored>& map, int first_channel) {
    const MapElements<const Stored> elements(map, element.sample.network_row, element.first, a.pixels);
    Quad quad = {};
    for (int i = 0; i < kQuad; ++i) {
      if (i < element.count) quad.value[i] = to_float(elements.at(i)[first_channel]);
    }
    return quad;
  }

  /// Reads channels of a map from `first_channel` on and copies them to the rows; reads the rows where there is no map.
  static __device__ Quad read(const FinishStepArguments<T>& a, const Element4<Whole>& element,
                              const PredictionMap<T>& map, int first_channel, const Rows& rows) {
    const std::uint32_t row = element.sample.network_row;
    if (rows.data == nullptr || !is_there(map)) return element.read(rows, row);
    const Quad quad = map.floats.data != nullptr ? read(a, element, map.floats, first_channel)
                                                 : read(a, element, map.stored, first_channel);
    store_quad<Whole>(rows, row, element.first, element.count, quad);
    return quad;
  }

  Quad out_;
  Quad head_;
};

/// The elements of the next step's image, as load_image stores them.
template <typename T, bool Whole>
__device__ void store_image(const FinishStepArguments<T>& a, const Element4<Whole>& element, const dpm_record& next,
                            const Updated& updated) {
  const bool reads_y = (next.flags & DPM_RECORD_READ_Y) != 0;
  const MapElements<T> elements(a.image, blockIdx.y, element.first, a.pixels);
  for (int i = 0; i < kQuad; ++i) {
    if (i >= element.count) continue;
    T* place = elements.at(i);
    const float value = next.input_scale * (reads_y ? updated.y.value[i] : updated.x.value[i]);
    const T high = from_float<T>(value);
    place[0] = high;
    if constexpr (kImageTerms<T> == 3) {
      place[a.channels] = from_float<T>(value - to_float(high));
      place[2 * a.channels] = high;
    }
  }
}

template <typename T, bool Whole>
__global__ void __launch_bounds__(kThreads) finish_step_kernel(FinishStepArguments<T> a) {
  __shared__ UpdateSample sample;
  load_sample(sample, a.table.current[blockIdx.y]);
  const std::uint32_t now = a.table.progress->now;
  if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) a.table.progress->next = now + 1;
  const std::uint64_t first = (static_cast<std::uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kQuad;
  if (first >= a.update.elements) return;
  const std::uint64_t left = a.update.elements - first;
  const int count = left < kQuad ? static_cast<int>(left) : kQuad;
  const float threshold = sample.record.clip == DPM_CLIP_DYNAMIC ? a.update.thresholds[blockIdx.y] : 0.0F;
  const Element4<Whole> element{a.update, sample, first, count};
  const PredictionMaps<T, Whole> prediction{a, element};
  const Updated updated = element.run(threshold, prediction);
  if (a.image.data == nullptr || now + 1 >= a.table.progress->count) return;
  const UpdateSample* next = a.table.steps + (std::uint64_t{now} + 1) * a.table.batch + blockIdx.y;
  store_image(a, element, next->record, updated);
}

}  // namespace

void select_step(const SelectStepArguments& arguments, cudaStream_t stream) {
  DPM_LAUNCH(select_step_kernel, dim3(arguments.table.batch), dim3(kThreads), stream, arguments);
}

template <typename T>
void finish_step(const FinishStepArguments<T>& arguments, cudaStream_t stream) {
  constexpr std::uint64_t kElements = std::uint64_t{kThreads} * kQuad;
  const dim3 grid(static_cast<unsigned>((arguments.update.elements + kElements - 1) / kElements),
                  arguments.update.batch);
  if (is_whole(arguments.update)) {
    constexpr auto kKernel = finish_step_kernel<T, true>;
    DPM_LAUNCH(kKernel, grid, dim3(kThreads), stream, arguments);
  } else {
    constexpr auto kKernel = finish_step_kernel<T, false>;
    DPM_LAUNCH(kKernel, grid, dim3(kThreads), stream, arguments);
  }
}

template void finish_step(const FinishStepArguments<float>&, cudaStream_t);
template void finish_step(const FinishStepArguments<Half>&, cudaStream_t);
template void finish_step(const FinishStepArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
