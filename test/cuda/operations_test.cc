// Test of the table of operations (test/native/operations) on the emulated GPU or a real one.
#include "operations/operations.h"

#include <string>

#include "cuda_device.h"
#include "operation_checks.h"

namespace dpm::test {
namespace {

#if !defined(DPM_CUDA_EMULATION)
/// The first cases of a family cover all its kinds, and making plans of products takes time.
const CheckedDevice kCard = {"cuda:0", "", 9};
#elif defined(__SANITIZE_ADDRESS__)
const CheckedDevice kCard = {"cuda:0", "", 1, 200'000, true};
#else
/// Large products would take the emulation seconds.
const CheckedDevice kCard = {"cuda:0", "", 6, 1'000'000, true};
#endif

class CardOperations : public CudaDevice, public testing::WithParamInterface<Operation> {};

TEST_P(CardOperations, AgreeWithTheReference) { check_values(GetParam(), kCard); }

TEST_P(CardOperations, HaveDerivatives) { check_derivatives(GetParam(), kCard); }

// The prefix is the name by which tests of the GPU are chosen.
INSTANTIATE_TEST_SUITE_P(Cuda, CardOperations, testing::ValuesIn(operations()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace dpm::test
