// Sums in double that show how exact a kernel can be.
#pragma once

#include <algorithm>
#include <cmath>

namespace dpm::test {

/// A sum of products, the sum of their magnitudes and the largest magnitude.
struct ProductSum {
  double sum = 0;
  double magnitudes = 0;
  double largest = 0;

  void add(double term) {
    sum += term;
    magnitudes += std::abs(term);
    largest = std::max(largest, std::abs(term));
  }
};

}  // namespace dpm::test
