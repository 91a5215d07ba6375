// Declarations of this instruction set's functions, by their names in the table.
#pragma once

#include "devices/cpu/isa/kernels.h"
#include "devices/cpu/isa/vector.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {

void tile(const TileArguments& arguments);
void tile_output(const TileOutput& output, const float* sums, std::ptrdiff_t sums_stride);
void multiply_adds(int rounds, float* sums);
void winograd_weights(const float* const* kernels, int inputs, int vectors, float* to, std::ptrdiff_t component_stride);
void winograd_input(const float* const pixels[36], int channels, float* out, std::ptrdiff_t component_stride);
void winograd_output(const WinogradOutput& target);
void outer_product(const OuterProduct& product);
void transpose(const float* from, std::ptrdiff_t from_stride, int rows, int columns, float* to,
               std::ptrdiff_t to_stride);
void winograd_cotangent(const float* const pixels[16], int channels, float* out, std::ptrdiff_t component_stride);
void winograd_gradient(const float* sums, std::ptrdiff_t component_stride, int parts, std::ptrdiff_t part_stride,
                       float* taps);
void channel_statistics(const float* x, std::ptrdiff_t stride, int pixels, int channels, float* mean, float* deviation);
void channel_affine(const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride, int pixels,
                    int channels, const float* a, const float* b, bool silu);
void activation(dpm_activation kind, const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride,
                int pixels, int channels);
void activation_backward(dpm_activation kind, const float* x, std::ptrdiff_t x_stride, const float* d,
                         std::ptrdiff_t d_stride, float* y, std::ptrdiff_t y_stride, int pixels, int channels);
void norm_derivative_sums(const NormDerivative& arguments, const float* mean, float* sums, float* products);
void norm_derivative(const NormDerivative& arguments, const float* p, const float* q, const float* r, float* y,
                     std::ptrdiff_t y_stride);
void add(const float* a, std::ptrdiff_t a_stride, const float* b, std::ptrdiff_t b_stride, float* y,
         std::ptrdiff_t y_stride, int pixels, int channels);
void layer_norm(const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride, int pixels, int channels,
                const float* gamma, const float* beta, float epsilon);
void layer_norm_backward(const LayerNormDerivative& arguments);
void geglu_backward(const float* values, const float* gates, std::ptrdiff_t x_stride, const float* d,
                    std::ptrdiff_t d_stride, float* y, std::ptrdiff_t y_stride, int pixels, int channels);
void geglu(const float* values, const float* gates, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride,
           int pixels, int channels);
void softmax_part(float* row, int columns, float scale, const float* addend, RunningSoftmax& state);
void softmax(float* row, int columns, float scale);
void softmax_derivative(const float* weights, float* factors, std::ptrdiff_t stride, int rows, int columns,
                        float scale);
void update(const UpdateRange& range);
void absolute_prediction(const dpm_record& record, const float* in, const float* out, float* result, int count);
void scaled_copy(const float* source, float scale, float* destination, std::uint64_t count);
void optimize(const OptimizeRange& range);

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
