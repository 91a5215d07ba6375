// The products of the benchmark networks, as `npm run roofline -- --shapes` has written them.
#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/products/attention_problem.h"
#include "cuda/products/convolution_problem.h"

namespace dpm::cuda {

struct NetworkShapes {
  std::vector<ConvolutionProblem> convolutions;
  std::vector<AttentionProblem> attentions;
};

inline ConvolutionProblem read_convolution(std::istream& row, int batch) {
  ConvolutionProblem p;
  row >> p.in_channels >> p.in_height >> p.in_width >> p.in_pixel_stride >> p.out_channels >> p.out_height >>
      p.out_width >> p.out_pixel_stride >> p.residual_pixel_stride >> p.kernel >> p.stride >> p.pad_before >>
      p.pad_after >> p.bias >> p.residual >> p.scale >> p.silu;
  p.batch = batch;
  p.dtype = DType::kBFloat16;
  return p;
}

inline AttentionProblem read_attention(std::istream& row, int batch) {
  AttentionProblem p;
  row >> p.heads >> p.query_tokens >> p.key_tokens >> p.width >> p.q_token_stride >> p.k_token_stride >>
      p.v_token_stride >> p.out_token_stride >> p.scale;
  p.batch = batch;
  p.dtype = DType::kBFloat16;
  return p;
}

/// Throws std::runtime_error for a line that is none of the table's.
inline NetworkShapes read_network_shapes(const std::string& path, int batch) {
  NetworkShapes shapes;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream row(line);
    std::string kind;
    row >> kind;
    if (kind == "convolution") {
      shapes.convolutions.push_back(read_convolution(row, batch));
    } else if (kind == "attention") {
      shapes.attentions.push_back(read_attention(row, batch));
    } else if (kind == "#" || kind == "kind") {
      continue;
    }
    if (row.fail()) throw std::runtime_error(path + ": " + line);
  }
  return shapes;
}

}  // namespace dpm::cuda
