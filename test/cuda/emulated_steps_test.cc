// Test of whole steps of batches that samples join and leave: the keys of their graphs, and the order of waiting for
// them.
#include <algorithm>
#include <utility>

#include "captured_graphs.h"

namespace dpm::test {
namespace {

/// A step of two samples, of which the second is guided and kept, in a network of up to four rows.
struct WholeStep {
  std::vector<dpm_record> records;
  std::vector<std::uint32_t> rows{3, 1};  ///< rows of the registers
  std::vector<std::int32_t> labels{4, 0, 2};
  std::vector<std::uint32_t> guided{1};
  std::vector<float> guidance{2.5F};
  std::vector<std::uint32_t> kept{1};
  std::uint32_t first_network_row = 0;
  dpm_step step{};

  double run(Network& network, const void* owner = nullptr) {
    step.owner = owner;
    std::vector<dpm_update_sample> samples;
    samples.reserve(rows.size());
    for (std::uint32_t j = 0; j < rows.size(); ++j) {
      samples.push_back({&records[j], rows[j], first_network_row + j, j + 5, 3, 4, j, j, 0});
    }
    step.update.batch = static_cast<std::uint32_t>(samples.size());
    step.update.samples = samples.data();
    step.labels = labels.empty() ? nullptr : labels.data();
    step.guided_count = static_cast<std::uint32_t>(guided.size());
    step.guided = guided.data();
    step.guidance = guidance.data();
    step.kept_count = static_cast<std::uint32_t>(kept.size());
    step.kept = kept.data();
    return network.step(step);
  }
};

class WholeSteps : public CapturedGraphs {
 protected:
  WholeStep whole_step() {
    WholeStep made;
    for (std::uint32_t i = 0; i < 3; ++i) {
      dpm_record record{};
      record.flags = DPM_RECORD_EVALUATE | DPM_RECORD_WRITE_X | DPM_RECORD_WRITE_Y | DPM_RECORD_STORE_HISTORY;
      if (i == 1) record.flags |= DPM_RECORD_READ_Y;
      record.time = static_cast<float>(900 - 100 * i);
      record.slot = i % 2;
      record.input_scale = 0.75F;
      record.x0_in = 1;
      record.x0_out = -0.5F;
      record.clip_low = 0.9F;
      record.clip_high = 0.5F;
      record.clip_ceiling = 1.25F;
      record.history_x0 = 1;
      record.x_x = 0.4F;
      record.x_y = 0.3F;
      record.x_out = 0.2F;
      record.x_guide = 0.6F;
      record.x_history[0] = record.x_history[1] = 0.3F;
      record.variance = DPM_VARIANCE_LOG;
      record.v1 = 0.5F;
      record.high = 1;
      record.y_x = 0.5F;
      record.y_y = 0.25F;
      made.records.push_back(record);
    }
    dpm_update& update = made.step.update;
    update.elements = kElements;
    for (dpm_view* view : {&update.x, &update.y, &update.out, &update.head, &update.guide, &update.noise}) {
      *view = image().view();
    }
    for (int slot = 0; slot < 2; ++slot) update.history[slot] = image().view();
    made.step.kept_out = image().view();
    made.step.kept_head = image().view();
    return made;
  }

  std::vector<std::string> ran(Network& network, WholeStep step) const {
    return after([&] { step.run(network); });
  }
};

TEST_F(WholeSteps, AreNotThoseOfOtherTensorsSizesAndKinds) {
  const WholeStep base = whole_step();
  using Change = std::function<void(WholeStep&)>;
  std::vector<std::pair<std::string, Change>> changes = {
      {"no labels", [](WholeStep& s) { s.labels.clear(); }},
      {"nobody guided", [](WholeStep& s) { s.guided.clear(); }},
      {"nobody kept", [](WholeStep& s) { s.kept.clear(); }},
      {"dynamic clipping", [](WholeStep& s) { s.records[0].clip = DPM_CLIP_DYNAMIC; }},
      {"more rows", [](WholeStep& s) { s.step.least_rows = kMostBatch; }},
      {"more samples",
       [](WholeStep& s) {
         s.rows.push_back(2);
         s.labels = {4, 0, 1, 2};
       }},
      {"fewer samples",
       [](WholeStep& s) {
         s.rows = {2};
         s.guided = s.kept = {0};
       }},
      {"no kept head", [](WholeStep& s) { s.step.kept_head = {}; }},
      {"drawn noise", [](WholeStep& s) { s.step.update.noise = {}; }},
  };
  const std::pair<const char*, std::function<dpm_view&(dpm_step&)>> tensors[] = {
      {"x", [](dpm_step& s) -> dpm_view& { return s.update.x; }},
      {"y", [](dpm_step& s) -> dpm_view& { return s.update.y; }},
      {"out", [](dpm_step& s) -> dpm_view& { return s.update.out; }},
      {"head", [](dpm_step& s) -> dpm_view& { return s.update.head; }},
      {"guide", [](dpm_step& s) -> dpm_view& { return s.update.guide; }},
      {"noise", [](dpm_step& s) -> dpm_view& { return s.update.noise; }},
      {"history 0", [](dpm_step& s) -> dpm_view& { return s.update.history[0]; }},
      {"history 1", [](dpm_step& s) -> dpm_view& { return s.update.history[1]; }},
      {"kept out", [](dpm_step& s) -> dpm_view& { return s.kept_out; }},
      {"kept head", [](dpm_step& s) -> dpm_view& { return s.kept_head; }},
  };
  for (const auto& [name, member] : tensors) {
    changes.emplace_back(name, [member, view = image().view()](WholeStep& s) { member(s.step) = view; });
    changes.emplace_back(std::string("stride of ") + name,
                         [member](WholeStep& s) { member(s.step).stride = 2 * kElements; });
  }
  for (const auto& [name, change] : changes) {
    WholeStep other = base;
    change(other);
    for (const auto& [first, second] : {std::pair(base, other), std::pair(other, base)}) {
      const auto network = made_.load(device_);
      (void)ran(*network, first);
      EXPECT_EQ(ran(*network, second), ran(*made_.load(device_), second)) << name;
    }
  }
}

TEST_F(WholeSteps, ReadTheirTableAnew) {
  const WholeStep base = whole_step();
  using Change = std::function<void(WholeStep&)>;
  const std::pair<const char*, Change> changes[] = {
      {"a label", [](WholeStep& s) { s.labels[0] = 1; }},
      {"an unconditional label", [](WholeStep& s) { s.labels[2] = 3; }},
      {"a time", [](WholeStep& s) { s.records[0].time = 5; }},
      {"the time of a guided sample", [](WholeStep& s) { s.records[1].time = 5; }},
      {"a row", [](WholeStep& s) { s.rows[0] = 0; }},
      {"the guided sample", [](WholeStep& s) { s.guided = {0}; }},
      {"the guidance", [](WholeStep& s) { s.guidance = {-1.5F}; }},
      {"the kept sample", [](WholeStep& s) { s.kept = {0}; }},
      {"the register that is read", [](WholeStep& s) { s.records[1].flags &= ~std::uint32_t{DPM_RECORD_READ_Y}; }},
  };
  const auto network = made_.load(device_);
  const std::vector<std::string> expected = ran(*network, base);
  for (const auto& [name, change] : changes) {
    WholeStep other = base;
    change(other);
    emulation().reset_counters();
    const std::vector<std::string> changed = ran(*network, other);
    EXPECT_EQ(emulation().counters().captures, 0u) << name;
    EXPECT_EQ(changed, ran(*made_.load(device_), other)) << name;
    EXPECT_NE(changed, expected) << name;
    EXPECT_EQ(ran(*network, base), expected) << name;
  }
}

TEST_F(WholeSteps, WriteNothingForRowsThatAreComputedBesideThem) {
  WholeStep step = whole_step();
  step.step.least_rows = kMostBatch;
  const auto network = made_.load(device_);
  const std::vector<std::string> padded = ran(*network, step);
  step.step.least_rows = 0;
  std::vector<std::string> exact = ran(*made_.load(device_), step);
  // All tensors agree except for the padding rows of the network's outputs.
  ASSERT_EQ(padded.size(), exact.size());
  std::size_t differing = 0;
  for (std::size_t i = 0; i < padded.size(); ++i) differing += padded[i] == exact[i] ? 0 : 1;
  EXPECT_EQ(differing, 2u);
}

TEST_F(WholeSteps, AreWaitedForOneStepLater) {
  WholeStep step = whole_step();
  const auto network = made_.load(device_);
  const int mine = 0;
  const void* owner = &mine;
  EXPECT_EQ(network->settle(owner), 0);
  EXPECT_EQ(step.run(*network, owner), 0);
  step.run(*network, owner);
  const std::size_t one_step = emulation().queued();
  EXPECT_GT(one_step, 0u);
  emulation().reset_counters();
  EXPECT_GT(step.run(*network, owner), 0);
  // The step before is done, this one is not.
  EXPECT_EQ(emulation().queued(), one_step);
  EXPECT_EQ(emulation().counters().uploads, 1u);
  EXPECT_EQ(emulation().counters().graph_launches, 1u);
  EXPECT_EQ(emulation().counters().synchronisations, 1u);
  EXPECT_EQ(emulation().counters().allocations, 0u);
  EXPECT_GT(network->settle(owner), 0);
  EXPECT_EQ(emulation().queued(), 0u);
  EXPECT_EQ(network->settle(owner), 0);
}

TEST_F(WholeSteps, TellTheirOwnersAloneWhatTheyTook) {
  WholeStep step = whole_step();
  const auto network = made_.load(device_);
  const int owners[] = {0, 1};
  emulation().linger(1);
  step.run(*network, &owners[0]);
  const double seconds = step.run(*network, &owners[0]);
  EXPECT_GT(seconds, 1);
  // A step of another owner waits for the first one, and a step without owner waits for that.
  EXPECT_EQ(step.run(*network, &owners[1]), 0);
  EXPECT_EQ(step.run(*network), 0);
  EXPECT_NEAR(step.run(*network, &owners[0]), seconds, 0.5);
  EXPECT_NEAR(network->settle(&owners[1]), seconds, 0.5);
  EXPECT_NEAR(network->settle(&owners[0]), seconds, 0.5);
  EXPECT_EQ(network->settle(&owners[0]), 0);
  EXPECT_EQ(network->settle(nullptr), 0);
  emulation().linger(0);
}

TEST_F(WholeSteps, AreWaitedForBeforeTheirMemoryGoes) {
  WholeStep step = whole_step();
  auto network = made_.load(device_);
  const std::vector<std::string> expected = ran(*network, step);
  const std::vector<std::string> actual = after([&] {
    auto short_lived = made_.load(device_);
    step.run(*short_lived);
    // Discarded executables are freed when another one is compiled.
    short_lived.reset();
    (void)made_.load(device_);
  });
  EXPECT_EQ(actual, expected);
}

TEST_F(WholeSteps, AreRefusedWhereTheirPartsDoNotBelongTogether) {
  const WholeStep base = whole_step();
  const auto network = made_.load(device_);
  const auto refused = [&](const std::function<void(WholeStep&)>& change) {
    WholeStep step = base;
    change(step);
    return code_of([&] { step.run(*network); }) == ErrorCode::kArgument;
  };
  EXPECT_FALSE(refused([](WholeStep&) {}));
  EXPECT_TRUE(refused([](WholeStep& s) {
    s.rows.clear();
    s.guided.clear();
    s.kept.clear();
  }));
  EXPECT_TRUE(refused([](WholeStep& s) { s.step.least_rows = kMostBatch + 1; }));
  EXPECT_TRUE(refused([](WholeStep& s) {
    s.records.resize(5, s.records[0]);
    s.rows = {0, 1, 2, 3, 4};
    s.guided.clear();
  }));
  EXPECT_TRUE(refused([](WholeStep& s) {
    s.rows = {0, 1, 2};
    s.guided = {0, 1};
    s.guidance = {2, 2};
  }));
  EXPECT_TRUE(refused([](WholeStep& s) {
    s.rows = {0};
    s.kept.clear();
    s.guided = {0, 0};
    s.guidance = {2, 2};
  }));
  EXPECT_TRUE(refused([](WholeStep& s) { s.first_network_row = 1; }));
  // The memory must hold three rows: two of samples, one of a guided one.
  const auto small = device_->allocate(3 * kElements * sizeof(float) - 4);
  EXPECT_TRUE(refused([&](WholeStep& s) { s.step.update.out = small->view(kElements); }));
  EXPECT_TRUE(refused([&](WholeStep& s) { s.step.update.head = small->view(kElements); }));
  EXPECT_TRUE(refused([](WholeStep& s) { s.guided = {2}; }));
  EXPECT_TRUE(refused([](WholeStep& s) { s.kept = {2}; }));
  EXPECT_TRUE(refused([](WholeStep& s) { s.kept = {0, 1, 1}; }));
  EXPECT_TRUE(refused([](WholeStep& s) { s.step.kept_out = {}; }));
  EXPECT_TRUE(refused([](WholeStep& s) { s.records[0].flags &= ~std::uint32_t{DPM_RECORD_EVALUATE}; }));
  EXPECT_TRUE(refused([](WholeStep& s) { s.records[0].slot = DPM_MAX_HISTORY; }));
}

}  // namespace
}  // namespace dpm::test
