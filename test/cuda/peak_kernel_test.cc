// Test that the kernel for measuring multiply-adds does as many as it reports.
#include <gtest/gtest.h>

#include "cuda/kernels/peak.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

TEST(CudaPeak, DoesTheMultiplyAddsThatItCounts) {
  constexpr unsigned kThreads = 256;
  constexpr unsigned kBlocks = 2;
  constexpr int kRepeats = 3;
  constexpr int kChains = 8;
  DeviceVector<float> sink(kBlocks * kThreads, 0.0F);
  const double counted = cuda::multiply_add_peak(sink.data(), kBlocks, kRepeats, nullptr);
  EXPECT_EQ(counted, static_cast<double>(sink.size() * kRepeats * cuda::kPeakMultiplyAdds));
  synchronize();
  for (unsigned i = 0; i < sink.size(); ++i) {
    double expected = 0;
    for (int chain = 0; chain < kChains; ++chain) {
      double value = i % kThreads + static_cast<unsigned>(chain);
      for (std::uint64_t k = 0; k < kRepeats * cuda::kPeakMultiplyAdds / kChains; ++k) value = value * 0.999 + 0.5;
      expected += value;
    }
    ASSERT_NEAR(static_cast<double>(sink[i]) / expected, 1, 1e-5) << i;
  }
}

}  // namespace
}  // namespace dpm::test
