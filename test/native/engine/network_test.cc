// Test of the properties of a loaded network.
#include "engine/network.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "graph_runner.h"
#include "small_network.h"

namespace dpm::test {
namespace {

TEST(NetworkInfo, CountsWeightsAndProductsOfTheFusedGraph) {
  RandomValues random(4);
  GraphMaker maker(random);
  const int map = maker.bias(maker.convolution(maker.image(2, 4, 6), 5, same_size(3)));
  maker.output(maker.bias(maker.convolution(map, 2, same_size(1))));
  for (const char* device : {"cpu", "reference"}) {
    const Network network(Device::open(device, {1, false}), maker.graph(), {0, false, {}});
    EXPECT_EQ(network.info().parameters, 2 * 5 * 9 + 5 + 5 * 2 + 2U);
    EXPECT_EQ(network.info().multiply_adds, (2 * 5 * 9 + 5 * 2) * 4 * 6U);
    EXPECT_EQ(network.info().nodes, device == std::string("cpu") ? 2U : 4U);
  }
}

TEST(NetworkInfo, CountsBothProductsOfAttention) {
  RandomValues random(4);
  GraphMaker maker(random);
  const int image = maker.image(6, 3, 5);
  maker.output(maker.attention(image, image, image, 2));
  const Network network(Device::open("reference", {1, false}), maker.graph(), {0, false, {}});
  EXPECT_EQ(network.info().multiply_adds, 2 * 15 * 15 * 6U);
}

TEST(NetworkProfile, HasATimeForEveryNodeAndEndsWithTheEngine) {
  const auto network = SmallNetwork().load("cpu");
  std::atomic<bool> stopping{false};
  const std::vector<NodeTime> times = network->profile(3, 2, stopping);
  ASSERT_EQ(times.size(), network->info().nodes);
  std::uint64_t products = 0;
  double milliseconds = 0;
  for (const NodeTime& each : times) {
    EXPECT_FALSE(each.name.empty());
    EXPECT_GE(each.milliseconds, 0);
    milliseconds += each.milliseconds;
    products += each.multiply_adds;
  }
  EXPECT_EQ(products, 3 * network->info().multiply_adds);
  EXPECT_GT(milliseconds, 0);
  stopping = true;
  EXPECT_EQ(code_of([&] { network->profile(3, 2, stopping); }), ErrorCode::kClosed);
}

TEST(NetworkMeasure, LeavesNoMoreMemoryThanBefore) {
  const auto network = SmallNetwork().load("cpu");
  const std::atomic<bool> stopping{false};
  network->reserve(2);
  // The table of times is filled by this call.
  network->measure({1}, 1, stopping);
  const std::uint64_t before = network->device().memory().host;
  EXPECT_EQ(network->measure({1, 16}, 1, stopping).size(), 2U);
  EXPECT_EQ(network->device().memory().host, before);
}

TEST(NetworkThatSeesMore, LeavesNoSteppingToItsDeviceAndTakesNothingLess) {
  for (const char* name : {DPM_BINDING_CONTEXT, DPM_BINDING_ADDED, DPM_BINDING_GUIDANCE}) {
    RandomValues random(4);
    GraphMaker maker(random);
    const int map = maker.enter(maker.image(2, 3, 1));
    maker.leave(maker.sum(map, maker.enter(maker.graph().add_input(name, 2, 3, 1))));
    Network network(Device::open("cuda:0", {}), maker.graph(), {});
    EXPECT_FALSE(network.runs_trajectories()) << name;
    EXPECT_FALSE(network.takes_steps()) << name;
    network.reserve(1);
    const auto buffer = network.device().allocate(6 * sizeof(float));
    Evaluation evaluation;
    evaluation.batch = 1;
    evaluation.image = evaluation.out = buffer->view(6);
    EXPECT_EQ(code_of([&] { network.evaluate(evaluation, nullptr); }), ErrorCode::kArgument) << name;
    evaluation.context = evaluation.added = evaluation.guidance = buffer->view(6);
    EXPECT_EQ(code_of([&] { network.evaluate(evaluation, nullptr); }), ErrorCode::kOk) << name;
  }
}

TEST(NetworkWithLabels, HasNoneWhereTheirTensorIsAbsent) {
  RandomValues random(4);
  GraphMaker maker(random);
  const int map = maker.enter(maker.image(2, 3, 1));
  maker.leave(maker.add(DPM_OP_CHANNEL_ADD, {map, maker.row(maker.label(), 3, 2)}));
  for (const char* device : {"reference", "cpu", "cuda:0"}) {
    Network network(Device::open(device, {1, false}), maker.graph(), {3, false, {}});
    network.reserve(1);
    const auto image = network.device().allocate(6 * sizeof(float));
    image->clear(0, image->bytes());
    const auto out = network.device().allocate(image->bytes());
    const auto evaluated = [&](const std::vector<std::int32_t>& labels) {
      Evaluation evaluation;
      evaluation.batch = 1;
      evaluation.image = image->view(6);
      evaluation.out = out->view(6);
      const auto given = network.device().allocate(sizeof(std::int32_t));
      if (!labels.empty()) {
        given->upload(0, labels.data(), given->bytes());
        evaluation.labels = given->view(1);
      }
      network.evaluate(evaluation, nullptr);
      std::vector<float> result(6);
      out->download(0, result.data(), out->bytes());
      return result;
    };
    EXPECT_EQ(evaluated({}), evaluated({-1})) << device;
    EXPECT_NE(evaluated({}), evaluated({0})) << device;
  }
}

/// A sum of an image and a context of 2 x 3 that rows share.
class SharedContext {
 public:
  static constexpr std::uint32_t kElements = 6;

  SharedContext(const std::string& device, int threads) {
    const int map = maker_.affine(maker_.image(2, 3, 1), 1);
    const int context = maker_.graph().add_input(DPM_BINDING_CONTEXT, 2, 3, 1);
    maker_.graph().values[static_cast<std::size_t>(context)].varies = DPM_VARIES_GROUP;
    maker_.output(maker_.affine(maker_.sum(map, maker_.affine(context, 1)), 1));
    network_ = std::make_unique<Network>(Device::open(device, {threads, false}), maker_.graph(), NetworkOptions());
    const std::size_t bytes = kMostRows * kElements * sizeof(float);
    image_ = network_->device().allocate(bytes);
    image_->clear(0, bytes);
    out_ = network_->device().allocate(bytes);
    const std::vector<float> contexts = expected({0, 1, 2});
    contexts_ = network_->device().allocate(contexts.size() * sizeof(float));
    contexts_->upload(0, contexts.data(), contexts.size() * sizeof(float));
  }

  /// Copies the groups of rows to the device.
  std::shared_ptr<Buffer> groups(const std::vector<std::uint32_t>& numbers) {
    auto buffer = network_->device().allocate(numbers.size() * sizeof(std::uint32_t));
    buffer->upload(0, numbers.data(), numbers.size() * sizeof(std::uint32_t));
    return buffer;
  }

  /// Returns the sums for zero images: the context of each row. Context g has the numbers from 6 g on.
  std::vector<float> evaluate(const std::shared_ptr<Buffer>& groups, std::uint32_t rows) {
    network_->reserve(kMostRows);
    Evaluation evaluation;
    evaluation.batch = rows;
    evaluation.image = image_->view(kElements);
    evaluation.out = out_->view(kElements);
    evaluation.context = contexts_->view(kElements);
    if (groups) evaluation.groups = groups->view(1);
    network_->evaluate(evaluation, nullptr);
    std::vector<float> result(std::size_t{rows} * kElements);
    out_->download(0, result.data(), result.size() * sizeof(float));
    return result;
  }

  static std::vector<float> expected(const std::vector<std::uint32_t>& groups) {
    std::vector<float> result;
    for (const std::uint32_t group : groups) {
      for (std::uint32_t i = 0; i < kElements; ++i) result.push_back(static_cast<float>(group * kElements + i));
    }
    return result;
  }

  [[nodiscard]] const Network& network() const { return *network_; }

 private:
  static constexpr int kMostRows = 6;

  RandomValues random_{4};
  GraphMaker maker_{random_};
  std::unique_ptr<Network> network_;
  std::shared_ptr<Buffer> image_, out_, contexts_;
};

TEST(NetworkWithSharedContexts, GivesEachRowThatOfItsGroup) {
  for (const auto& [device, threads] : {std::pair("reference", 1), {"cpu", 1}, {"cpu", 2}, {"cpu", 3}, {"cuda:0", 1}}) {
    SharedContext shared(device, threads);
    EXPECT_TRUE(shared.network().shape().shares_context);
    // Rows are more and fewer than contexts.
    for (const std::vector<std::uint32_t>& groups :
         {std::vector<std::uint32_t>{2, 0, 2, 1, 0, 1}, {1, 1, 0, 2, 2, 0}, {2, 2}}) {
      const auto rows = static_cast<std::uint32_t>(groups.size());
      EXPECT_EQ(shared.evaluate(shared.groups(groups), rows), SharedContext::expected(groups))
          << device << " " << threads << " " << rows;
    }
    EXPECT_EQ(shared.evaluate(nullptr, 3), SharedContext::expected({0, 1, 2})) << device << " " << threads;
  }
}

TEST(NetworkWithSharedContexts, ReadsTheGroupsOfEachCallAndWhatTheyAreThen) {
  SharedContext shared("cuda:0", 1);
  const std::vector<std::uint32_t> one{0, 1};
  const std::vector<std::uint32_t> other{1, 0};
  const auto of_one = shared.groups(one);
  const auto of_other = shared.groups(other);
  // From the second call on graphs are replayed.
  for (int call = 0; call < 3; ++call) {
    EXPECT_EQ(shared.evaluate(of_one, 2), SharedContext::expected(one)) << call;
    EXPECT_EQ(shared.evaluate(of_other, 2), SharedContext::expected(other)) << call;
    EXPECT_EQ(shared.evaluate(nullptr, 2), SharedContext::expected(one)) << call;
  }
  of_one->upload(0, other.data(), other.size() * sizeof(std::uint32_t));
  EXPECT_EQ(shared.evaluate(of_one, 2), SharedContext::expected(other));
}

TEST(NetworkWithSharedContexts, IsToldFromOneWhoseRowsHaveTheirOwn) {
  RandomValues random(4);
  GraphMaker maker(random);
  maker.leave(
      maker.sum(maker.enter(maker.image(2, 3, 1)), maker.enter(maker.graph().add_input(DPM_BINDING_CONTEXT, 2, 3, 1))));
  const Network network(Device::open("cpu", {}), maker.graph(), {});
  EXPECT_EQ(network.shape().context, 6U);
  EXPECT_FALSE(network.shape().shares_context);
}

TEST(NetworkThatDivides, LeavesNoSteppingToItsDevice) {
  NetworkOptions divides = SmallNetwork::options();
  divides.divides_by_time = true;
  const auto device = Device::open("cuda:0", {});
  const Network plain(device, SmallNetwork().graph(), SmallNetwork::options());
  EXPECT_TRUE(plain.runs_trajectories());
  EXPECT_TRUE(plain.takes_steps());
  const Network dividing(device, SmallNetwork().graph(), divides);
  EXPECT_FALSE(dividing.runs_trajectories());
  EXPECT_FALSE(dividing.takes_steps());
}

}  // namespace
}  // namespace dpm::test
