// The table of operations: every operation of a network's graph, with cases that every device runs.
#pragma once

#include <vector>

#include "operations/operation_case.h"

namespace dpm::test {

struct Operation {
  const char* name;
  std::vector<CaseFamily> families;
};

const std::vector<Operation>& operations();

std::vector<CaseFamily> activation_cases();
std::vector<CaseFamily> activation_backward_cases();
std::vector<CaseFamily> add_cases();
std::vector<CaseFamily> affine_cases();
std::vector<CaseFamily> attention_cases();
std::vector<CaseFamily> attention_derivative_cases();
std::vector<CaseFamily> bias_cases();
std::vector<CaseFamily> channel_add_cases();
std::vector<CaseFamily> concat_cases();
std::vector<CaseFamily> convolution_cases();
std::vector<CaseFamily> convolution_weights_cases();
std::vector<CaseFamily> dropout_cases();
std::vector<CaseFamily> embedding_cases();
std::vector<CaseFamily> embedding_weights_cases();
std::vector<CaseFamily> fir_cases();
std::vector<CaseFamily> fused_convolution_cases();
std::vector<CaseFamily> geglu_cases();
std::vector<CaseFamily> geglu_backward_cases();
std::vector<CaseFamily> group_norm_cases();
std::vector<CaseFamily> group_norm_derivative_cases();
std::vector<CaseFamily> group_norm_vector_cases();
std::vector<CaseFamily> label_score_cases();
std::vector<CaseFamily> layer_norm_cases();
std::vector<CaseFamily> layer_norm_backward_cases();
std::vector<CaseFamily> position_cases();
std::vector<CaseFamily> resample_cases();
std::vector<CaseFamily> row_sum_cases();
std::vector<CaseFamily> scale_shift_cases();
std::vector<CaseFamily> separable_cases();
std::vector<CaseFamily> square_score_cases();
std::vector<CaseFamily> time_embedding_cases();
std::vector<CaseFamily> view_cases();
std::vector<CaseFamily> winograd_cases();

}  // namespace dpm::test
