// Test of the access to weights of any storage type and layout.
#include "backend/constant.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "graph/lowered.h"

namespace dpm::test {
namespace {

std::vector<float> elements_of(const graph::Constant& constant) {
  const dpm_constant lowered = graph::lower(constant);
  const ConstantElements elements(lowered);
  return {elements.floats(), elements.floats() + elements.size()};
}

TEST(ConstantElements, AreTheMemoryItselfWhereThatHasFloats) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const graph::Constant constant{values.data(), DType::kFloat32, {2, 3}, "w"};
  const dpm_constant lowered = graph::lower(constant);
  const ConstantElements elements(lowered);
  EXPECT_EQ(elements.floats(), values.data());
  EXPECT_EQ(elements.size(), 6U);
  EXPECT_EQ(elements[4], 5.0F);
}

TEST(ConstantElements, MayLieAtAnyAddress) {
  const std::vector<float> values{1, 2, 3, 4};
  for (std::size_t shift = 0; shift < sizeof(float); ++shift) {
    std::vector<unsigned char> bytes(sizeof(float) * values.size() + shift);
    std::memcpy(bytes.data() + shift, values.data(), sizeof(float) * values.size());
    EXPECT_EQ(elements_of({bytes.data() + shift, DType::kFloat32, {4}, "w"}), values) << shift;
  }
}

TEST(ConstantElements, AreConverted) {
  const std::vector<std::uint16_t> halves{0x3C00, 0xC000, 0x3555};
  EXPECT_EQ(elements_of({halves.data(), DType::kFloat16, {3}, "w"}), (std::vector<float>{1, -2, 0.333251953125F}));
  const std::vector<std::uint16_t> short_floats{0x3F80, 0xC000, 0x3EAB};
  EXPECT_EQ(elements_of({short_floats.data(), DType::kBFloat16, {3}, "w"}), (std::vector<float>{1, -2, 0.333984375F}));
}

TEST(ConstantElements, AreReadThroughAViewOfAnyRank) {
  std::vector<float> values(24);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const auto view = [&](const std::vector<std::int64_t>& dims, const std::vector<std::int64_t>& strides) {
    std::int64_t all = 1;
    for (const std::int64_t dim : dims) all *= dim;
    return elements_of({values.data(), DType::kFloat32, {all}, "w", dims, strides});
  };
  EXPECT_EQ(view({3}, {7}), (std::vector<float>{0, 7, 14}));
  EXPECT_EQ(view({2, 3}, {1, 4}), (std::vector<float>{0, 4, 8, 1, 5, 9}));
  EXPECT_EQ(view({2, 2, 2}, {12, 1, 3}), (std::vector<float>{0, 3, 1, 4, 12, 15, 13, 16}));
  EXPECT_EQ(view({2, 1, 2, 2}, {2, 5, 1, 12}), (std::vector<float>{0, 12, 1, 13, 2, 14, 3, 15}));
  const std::vector<std::uint16_t> halves{0x3C00, 0x4000, 0x4200};
  EXPECT_EQ(elements_of({halves.data(), DType::kFloat16, {2}, "w", {2}, {2}}), (std::vector<float>{1, 3}));
}

}  // namespace
}  // namespace dpm::test
