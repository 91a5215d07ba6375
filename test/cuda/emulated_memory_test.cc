// Test that the memory in captured graphs stays, and that a failed allocation changes nothing for earlier runs.
#include "cuda_device.h"
#include "evaluate_derivative.h"
#include "lone_request.h"
#include "sampling/run.h"
#include "sliced_network.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

class EmulatedMemory : public CudaDevice {
 protected:
  ~EmulatedMemory() override { emulation().fail_allocations(0, 0); }

  std::vector<float> images(Network& network, const RunRequest& request) const {
    return run_programs(network, request, running_).images.floats;
  }
  std::vector<float> images(Network& network, std::uint32_t samples) const {
    return images(network, short_request(samples, 2));
  }

  /// Returns the error code of `body` where an allocation fails, and also the next one, for which the device has made
  /// room.
  static ErrorCode refusing(std::uint64_t allocation, const std::function<void()>& body, bool* was_refused) {
    emulation().reset_counters();
    emulation().fail_allocations(allocation, 2);
    const ErrorCode code = code_of(body);
    emulation().fail_allocations(0, 0);
    *was_refused = emulation().counters().refused > 0;
    return code;
  }

  /// A run that takes memory in its own way, after a batch of `reserved` samples.
  struct Run {
    const char* name;
    MostScratch most;
    int reserved;
    std::function<std::vector<float>(Network&)> images;
  };
  [[nodiscard]] std::vector<Run> runs() const {
    RunRequest labelled = short_request(2, 3);
    for (SampleIdentity& sample : labelled.samples) sample.label = 1;
    RunRequest uneven = short_request(2, 2);
    uneven.programs.push_back({0, 1, 2, 1.0F});
    uneven.samples[1].program = 1;
    const auto of = [this](const RunRequest& request) {
      return [this, request](Network& network) { return images(network, request); };
    };
    return {
        {"counters, allocation ", MostScratch::kOfLargest, 16, of(short_request(1, 1))},
        {"scratch memory, allocation ", MostScratch::kOfSmaller, 16, of(short_request(1, 1))},
        {"conditions, allocation ", MostScratch::kOfSmaller, 4, of(short_request(2, 9))},
        {"labels, allocation ", MostScratch::kOfLargest, 4, of(labelled)},
        {"evaluations, allocation ", MostScratch::kOfLargest, 4, of(uneven)},
    };
  }

  /// Counts the kernels of one run of a prepared network, to see whether layers are computed in the same ways.
  static std::uint64_t kernels(Network& network, const Run& run) {
    emulation().reset_counters();
    run.images(network);
    return emulation().counters().kernels;
  }

  const SlicedNetwork sliced_;
  const std::atomic<bool> running_{false};
};

TEST_F(EmulatedMemory, OfABatchOutlivesLargerRequests) {
  Batch batch(std::make_unique<NetworkEvaluator>(sliced_.load()), batch_of_sliced());
  const std::vector<float> first = images_of(batch, short_request(1, 2));
  for (const std::uint32_t others : {1U, 2U, 4U}) {
    images_of(batch, short_request(others, 2));
    EXPECT_EQ(images_of(batch, short_request(1, 2)), first) << "after " << others;
  }
}

TEST_F(EmulatedMemory, ThatIsRefusedToOneRunIsThereForOthers) {
  for (const Run& run : runs()) {
    const SlicedNetwork sliced(run.most);
    const RunRequest earlier = short_request(static_cast<std::uint32_t>(run.reserved), 1);
    const std::vector<float> earlier_alone = images(*sliced.load(run.reserved), earlier);
    const auto fresh = sliced.load(run.reserved);
    const std::vector<float> alone = run.images(*fresh);
    const std::uint64_t kernels_alone = kernels(*fresh, run);
    bool was_refused = true;
    std::uint64_t allocation = 0;
    for (; was_refused; ++allocation) {
      const auto network = sliced.load(run.reserved);
      EXPECT_EQ(images(*network, earlier), earlier_alone) << run.name << allocation;
      const ErrorCode code = refusing(allocation, [&] { run.images(*network); }, &was_refused);
      EXPECT_EQ(code, was_refused ? ErrorCode::kOutOfMemory : ErrorCode::kOk) << run.name << allocation;
      EXPECT_EQ(images(*network, earlier), earlier_alone) << run.name << allocation;
      EXPECT_EQ(run.images(*network), alone) << run.name << allocation;
      EXPECT_EQ(kernels(*network, run), kernels_alone) << run.name << allocation;
    }
    EXPECT_GT(allocation, 1U) << run.name;
  }
}

TEST_F(EmulatedMemory, ThatIsRefusedToALoadIsThereForTheNext) {
  const std::vector<float> expected = images(*sliced_.load(), 1);
  bool was_refused = true;
  for (std::uint64_t allocation = 0; was_refused; ++allocation) {
    const ErrorCode code = refusing(allocation, [&] { (void)sliced_.load(); }, &was_refused);
    EXPECT_EQ(code, was_refused ? ErrorCode::kOutOfMemory : ErrorCode::kOk) << allocation;
  }
  EXPECT_EQ(images(*sliced_.load(), 1), expected);
}

/// The library pulls this convolution back, from weights that are packed again when a batch is prepared.
TEST_F(EmulatedMemory, ThatIsRefusedToAPullbackIsThereForTheNext) {
  RandomValues random(6);
  GraphMaker maker(random);
  maker.output(maker.convolution(maker.image(8, 8, 8), 8, {3, 2, 1, 1}));
  NetworkOptions options;
  options.derivative = Derivative::kPullback;
  const auto load = [&] { return std::make_unique<Network>(open(DType::kFloat32), maker.graph(), options); };
  const std::vector<float> expected = derive_twice(*load(), 2).derived;
  bool was_refused = true;
  std::uint64_t allocation = 0;
  for (; was_refused; ++allocation) {
    const auto network = load();
    const ErrorCode code = refusing(allocation, [&] { network->reserve(2); }, &was_refused);
    EXPECT_EQ(code, was_refused ? ErrorCode::kOutOfMemory : ErrorCode::kOk) << allocation;
    EXPECT_EQ(derive_twice(*network, 2).derived, expected) << allocation;
  }
  EXPECT_GT(allocation, 2U);
}

TEST_F(EmulatedMemory, ThatIsRefusedToGradientsIsThereForTheNext) {
  RandomValues random(6);
  GraphMaker maker(random);
  maker.output(maker.bias(maker.convolution(maker.image(8, 8, 8), 8, {3, 2, 1, 1})));
  NetworkOptions options;
  options.derivative = Derivative::kWeights;
  const auto load = [&] { return std::make_unique<Network>(open(DType::kFloat32), maker.graph(), options); };
  const auto expected = gradients_of(*load(), 2).of_constants;
  bool was_refused = true;
  std::uint64_t allocation = 0;
  for (; was_refused; ++allocation) {
    const auto network = load();
    const ErrorCode code = refusing(allocation, [&] { network->reserve(2); }, &was_refused);
    EXPECT_EQ(code, was_refused ? ErrorCode::kOutOfMemory : ErrorCode::kOk) << allocation;
    EXPECT_EQ(gradients_of(*network, 2).of_constants, expected) << allocation;
  }
  EXPECT_GT(allocation, 3U);
}

}  // namespace
}  // namespace dpm::test
