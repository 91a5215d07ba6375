// Test of kernels of every instruction set against loops as plain as possible.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "devices/cpu/isa/kernels.h"
#include "devices/cpu/isa_select.h"
#include "graph_runner.h"
#include "random_values.h"
#include "scoped_environment.h"

namespace dpm::test {
namespace {

/// Place of an element of a matrix.
std::size_t place_of(int row, int stride, int column) {
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(stride) + static_cast<std::size_t>(column);
}

/// Calls `body(kernels)` for every instruction set that this processor runs.
template <typename Body>
void for_instruction_sets(const Body& body) {
  for (const std::string& name : usable_isas()) {
    SCOPED_TRACE(name);
    const ScopedEnvironment forced("DPM_CPU_ISA", name);
    body(cpu::select_isa());
  }
}

TEST(IsaKernels, TransposeMatricesOfAnyShapeAndWriteNothingElse) {
  constexpr int kMost = 37;
  constexpr int kFromStride = kMost + 3;
  constexpr float kUntouched = -7;
  const std::vector<float> from = RandomValues(3).normals(std::size_t{kMost} * kFromStride);
  for_instruction_sets([&](const cpu::IsaKernels& isa) {
    for (int rows = 0; rows <= kMost; ++rows) {
      for (int columns = 0; columns <= kMost; ++columns) {
        const int stride = rows + 2;
        // Forwards, then with the last column first.
        for (const bool turned : {false, true}) {
          std::vector<float> to(static_cast<std::size_t>(columns) * static_cast<std::size_t>(stride) + 5, kUntouched);
          std::vector<float> expected = to;
          for (int row = 0; row < rows; ++row) {
            for (int column = 0; column < columns; ++column) {
              const int place = turned ? columns - 1 - column : column;
              expected[place_of(place, stride, row)] = from[place_of(row, kFromStride, column)];
            }
          }
          float* first = turned && columns > 0 ? to.data() + std::ptrdiff_t{columns - 1} * stride : to.data();
          isa.transpose(from.data(), kFromStride, rows, columns, first, turned ? -stride : stride);
          ASSERT_EQ(to, expected) << rows << " x " << columns << (turned ? ", turned" : "");
        }
      }
    }
  });
}

TEST(IsaKernels, CentreRowsOfASoftmaxBySumsInTheOrderOfTheColumns) {
  constexpr int kColumns = 45;
  constexpr int kStride = kColumns + 3;
  constexpr float kScale = 0.25F;
  for_instruction_sets([&](const cpu::IsaKernels& isa) {
    for (int rows = 1; rows <= 15; ++rows) {
      const std::size_t count = place_of(rows, kStride, 0);
      std::vector<float> weights = RandomValues(4).normals(count);
      for (float& weight : weights) weight = std::abs(weight) / kColumns;
      std::vector<float> factors = RandomValues(5).normals(count);
      std::vector<float> expected = factors;
      for (int row = 0; row < rows; ++row) {
        const std::size_t first = place_of(row, kStride, 0);
        double sum = 0;
        for (std::size_t i = first; i < first + kColumns; ++i) {
          sum += static_cast<double>(weights[i]) * static_cast<double>(factors[i]);
        }
        for (std::size_t i = first; i < first + kColumns; ++i) {
          expected[i] = kScale * weights[i] * (factors[i] - static_cast<float>(sum));
        }
      }
      isa.softmax_derivative(weights.data(), factors.data(), kStride, rows, kColumns, kScale);
      EXPECT_EQ(factors, expected) << rows;
    }
  });
}

TEST(IsaKernels, AddUpTheDerivativeOfANormForAnyNumberOfChannels) {
  constexpr int kPixels = 11;
  for_instruction_sets([&](const cpu::IsaKernels& isa) {
    for (int channels = 1; channels <= 37; ++channels) {
      const std::size_t count = place_of(kPixels, channels, 0);
      const auto one_per_channel = static_cast<std::size_t>(channels);
      const std::vector<float> x = RandomValues(6).normals(count);
      const std::vector<float> given = RandomValues(7).normals(count);
      const std::vector<float> a = RandomValues(8).normals(one_per_channel);
      const std::vector<float> b = RandomValues(9).normals(one_per_channel);
      const std::vector<float> mean = RandomValues(10).normals(one_per_channel);
      for (const bool silu : {false, true}) {
        std::vector<float> sums(one_per_channel, NAN);
        std::vector<float> products(one_per_channel, NAN);
        isa.norm_derivative_sums(
            {x.data(), channels, given.data(), channels, kPixels, channels, a.data(), b.data(), silu, true},
            mean.data(), sums.data(), products.data());
        for (std::size_t c = 0; c < one_per_channel; ++c) {
          double sum = 0;
          double product = 0;
          for (std::size_t i = c; i < count; i += one_per_channel) {
            const double z = x[i] * static_cast<double>(a[c]) + b[c];
            const double sigmoid = 1 / (1 + std::exp(-z));
            const double moved = given[i] * (silu ? sigmoid * (1 + z * (1 - sigmoid)) : 1);
            sum += moved;
            product += moved * (static_cast<double>(x[i]) - mean[c]);
          }
          EXPECT_NEAR(sums[c], sum, 1e-4) << channels << ", " << c;
          EXPECT_NEAR(products[c], product, 1e-4) << channels << ", " << c;
        }
      }
    }
  });
}

}  // namespace
}  // namespace dpm::test
