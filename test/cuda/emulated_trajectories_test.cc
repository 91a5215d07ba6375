// Test of the keys of trajectories' graphs, like that of evaluations: the graphs of their steps must be told apart.
#include <utility>

#include "captured_graphs.h"

namespace dpm::test {
namespace {

/// The first steps of a list of records.
struct Steps {
  std::vector<dpm_record> records;
  dpm_trajectory trajectory{};

  void list(std::uint32_t batch, std::uint32_t steps) {
    trajectory.update.batch = batch;
    trajectory.steps = steps;
  }
};

class CapturedTrajectories : public CapturedGraphs {
 protected:
  CapturedTrajectories() {
    for (std::uint32_t i = 0; i < 6; ++i) {
      dpm_record record{};
      record.flags = DPM_RECORD_EVALUATE | DPM_RECORD_WRITE_X | DPM_RECORD_WRITE_Y | DPM_RECORD_STORE_HISTORY;
      record.time = static_cast<float>(900 - 100 * i);
      record.slot = i % 2;
      record.input_scale = 1;
      record.x0_in = 1;
      record.x0_out = -0.5F;
      record.clip = DPM_CLIP_DYNAMIC;
      record.clip_low = 0.9F;
      record.clip_high = 0.5F;
      record.clip_ceiling = 1.25F;
      record.history_x0 = 1;
      record.x_x = 0.4F;
      record.x_y = 0.1F * static_cast<float>(i + 1);
      record.x_out = 0.2F;
      record.x_history[0] = 0.3F;
      record.variance = DPM_VARIANCE_LOG;
      record.v1 = 0.5F;
      record.high = 1;
      record.y_x = 0.5F;
      record.y_y = 0.25F;
      records_.push_back(record);
    }
  }

  Steps steps(std::uint32_t batch, std::uint32_t count) {
    Steps made;
    made.records = records_;
    made.list(batch, count);
    dpm_update& update = made.trajectory.update;
    update.elements = kElements;
    for (dpm_view* view : {&update.x, &update.y, &update.out, &update.head, &update.noise}) *view = image().view();
    for (dpm_view& view : update.history) view = image().view();
    made.trajectory.labels = labels(0).view(1);
    return made;
  }

  static void run(Network& network, const Steps& steps) {
    dpm_trajectory trajectory = steps.trajectory;
    const std::uint32_t batch = trajectory.update.batch;
    std::vector<dpm_update_sample> samples;
    samples.reserve(std::size_t{trajectory.steps} * batch);
    for (std::uint32_t i = 0; i < trajectory.steps * batch; ++i) {
      samples.push_back({&steps.records[i / batch], i % batch, i % batch, i, 3, 4, i % batch, i / batch, 0});
    }
    trajectory.update.samples = samples.data();
    network.begin(trajectory);
    network.advance(trajectory.steps, true);
  }

  std::vector<std::string> ran(Network& network, const Steps& steps) const {
    return after([&] { run(network, steps); });
  }

  void repeat(Network& network, const Steps& steps) const {
    (void)ran(network, steps);
    ASSERT_EQ(captures([&] { run(network, steps); }), 0u);
  }

  static std::uint64_t captures(const std::function<void()>& body) {
    emulation().reset_counters();
    body();
    return emulation().counters().captures;
  }

  std::vector<dpm_record> records_;
};

TEST_F(CapturedTrajectories, AreNotThoseOfOtherTensors) {
  const Steps base = steps(kBatch, 3);
  using Change = std::function<void(Steps&)>;
  std::vector<std::pair<std::string, Change>> changes = {
      {"labels", [view = labels(2).view(1)](Steps& s) { s.trajectory.labels = view; }},
      {"no labels", [](Steps& s) { s.trajectory.labels = {}; }},
      {"smaller batch", [](Steps& s) { s.list(kBatch - 1, 3); }},
      {"larger batch", [](Steps& s) { s.list(kBatch + 1, 3); }},
      {"fewer steps", [](Steps& s) { s.list(kBatch, 2); }},
      {"more steps", [](Steps& s) { s.list(kBatch, 6); }},
      {"a step without an evaluation",
       [](Steps& s) { s.records[1].flags &= ~static_cast<std::uint32_t>(DPM_RECORD_EVALUATE); }},
      {"a step that clips otherwise", [](Steps& s) { s.records[2].clip = DPM_CLIP_STATIC; }},
  };
  const std::pair<const char*, dpm_view dpm_update::*> registers[] = {
      {"x", &dpm_update::x},       {"y", &dpm_update::y},         {"out", &dpm_update::out},
      {"head", &dpm_update::head}, {"noise", &dpm_update::noise},
  };
  for (const auto& [name, member] : registers) {
    changes.emplace_back(name, [member, view = image().view()](Steps& s) { s.trajectory.update.*member = view; });
    changes.emplace_back(std::string("stride of ") + name,
                         [member](Steps& s) { (s.trajectory.update.*member).stride = 2 * kElements; });
  }
  for (int slot = 0; slot < 2; ++slot) {
    const std::string name = "history " + std::to_string(slot);
    changes.emplace_back(name, [slot, view = image().view()](Steps& s) { s.trajectory.update.history[slot] = view; });
    changes.emplace_back("stride of " + name,
                         [slot](Steps& s) { s.trajectory.update.history[slot].stride = 2 * kElements; });
  }
  for (const auto& [name, change] : changes) {
    Steps other = base;
    change(other);
    const auto network = made_.load(device_);
    repeat(*network, base);
    EXPECT_EQ(ran(*network, other), ran(*made_.load(device_), other)) << name;
  }
}

TEST_F(CapturedTrajectories, AreNotThoseOfOtherLabelsWhereEveryStepReadsThem) {
  // The 256th part of the GPU's memory cannot hold a table of conditions.
  device_ = open_on_card_of(std::size_t{100} << 10);
  const Steps base = steps(kMostBatch, 6);
  Steps others = base;
  others.trajectory.labels = labels(2).view(1);
  Steps none = base;
  none.trajectory.labels = {};
  for (const Steps& other : {others, none}) {
    const auto network = made_.load(device_);
    repeat(*network, base);
    EXPECT_EQ(ran(*network, other), ran(*made_.load(device_), other));
  }
}

TEST_F(CapturedTrajectories, HaveTheLabelsOfTheirRunAfterOneWithout) {
  // A single sample has the same number of rows of conditions with a label as without.
  const Steps labelled = steps(1, 3);
  Steps none = labelled;
  none.trajectory.labels = {};
  const auto network = made_.load(device_);
  repeat(*network, none);
  EXPECT_EQ(ran(*network, labelled), ran(*made_.load(device_), labelled));
}

TEST_F(CapturedTrajectories, AreForgottenWhenManyOthersHaveBeenSinceThen) {
  const Steps first = steps(1, 2);
  const auto network = made_.load(device_);
  repeat(*network, first);
  // Strides make no difference with a single sample.
  for (std::uint64_t stride = 2; stride < 200; ++stride) {
    Steps other = first;
    other.trajectory.update.x.stride = stride;
    run(*network, other);
  }
  EXPECT_GT(captures([&] { run(*network, first); }), 0u);
}

TEST_F(CapturedTrajectories, GoWithTheMemoryTheyUse) {
  const Steps two = steps(2, 4);
  Steps four = two;
  four.list(kMostBatch, 2);
  // The device's own memory has reached its largest size.
  run(*made_.load(device_), four);
  const auto network = made_.load(device_);
  repeat(*network, two);
  // The table has the same size, the memory for one step is larger.
  run(*network, four);
  EXPECT_GT(captures([&] { run(*network, two); }), 0u);
}

TEST_F(CapturedTrajectories, GoWithTheThresholdsOfTheirDevice) {
  const Steps two = steps(2, 3);
  Steps four = two;
  four.list(kMostBatch, 3);
  const auto network = made_.load(device_);
  repeat(*network, two);
  run(*made_.load(device_), four);
  EXPECT_GT(captures([&] { run(*network, two); }), 0u);
}

TEST_F(CapturedTrajectories, GoOnlyOnceTheyHaveBegun) {
  const Steps few = steps(2, 2);
  const Steps more = steps(2, 6);
  const auto network = made_.load(device_);
  run(*network, few);
  for (std::uint64_t allocation = 0;; ++allocation) {
    emulation().reset_counters();
    emulation().fail_allocations(allocation, 2);
    const ErrorCode code = code_of([&] { run(*network, more); });
    emulation().fail_allocations(0, 0);
    if (code == ErrorCode::kOk) break;
    EXPECT_EQ(code, ErrorCode::kOutOfMemory);
    EXPECT_EQ(code_of([&] { network->advance(1, true); }), ErrorCode::kArgument);
    EXPECT_LT(allocation, 100U);
  }
  EXPECT_EQ(ran(*network, few), ran(*made_.load(device_), few));
}

}  // namespace
}  // namespace dpm::test
