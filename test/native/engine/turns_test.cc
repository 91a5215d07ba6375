// Test of turns between the jobs of an engine.
#include "engine/turns.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <initializer_list>
#include <map>
#include <thread>

#include "core/error.h"
#include "engine/engine.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

using std::chrono::milliseconds;

/// A taker that has work as long as a test says so.
class Counted : public TurnTaker {
 public:
  explicit Counted(double weight = 1, milliseconds length = milliseconds(0)) : TurnTaker(weight), length_(length) {}
  [[nodiscard]] bool has_work() const override { return left > 0; }
  double take_turn() noexcept override {
    const auto start = std::chrono::steady_clock::now();
    --left;
    ++taken;
    std::this_thread::sleep_for(length_);
    return charged > 0 ? charged.load()
                       : std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  void settle() noexcept override { ++settled; }
  void look_for_cancelled() noexcept override { ++looked; }
  void end(ErrorCode code, const std::string& /*message*/) noexcept override {
    ended = code;
    left = 0;
  }

  std::atomic<int> left{0};
  std::atomic<int> taken{0};
  std::atomic<int> looked{0};
  std::atomic<int> settled{0};
  std::atomic<double> charged{0};
  std::atomic<ErrorCode> ended{ErrorCode::kOk};

 private:
  milliseconds length_;
};

/// Gives turns of `seconds` each until `until` seconds are used; returns the seconds of each taker.
std::map<const TurnTaker*, double> used(Turns& turns, std::map<const TurnTaker*, double> seconds, double until) {
  std::map<const TurnTaker*, double> total;
  for (double time = 0; time < until;) {
    const auto taker = turns.next();
    const double own = seconds.at(taker.get());
    turns.charge(*taker, own);
    total[taker.get()] += own;
    time += own;
  }
  return total;
}

/// Returns the turns of these takers, in the order of their arrival.
Turns turns_of(std::initializer_list<std::shared_ptr<Counted>> takers) {
  Turns turns;
  for (const std::shared_ptr<Counted>& taker : takers) turns.add(taker);
  return turns;
}

TEST(Turns, ShareTimeByWeightWhateverATurnTakes) {
  const auto slow = std::make_shared<Counted>(1);
  const auto quick = std::make_shared<Counted>(3);
  Turns turns = turns_of({slow, quick});
  slow->left = quick->left = 1;
  const auto total = used(turns, {{slow.get(), 0.07}, {quick.get(), 0.01}}, 100);
  EXPECT_NEAR(total.at(slow.get()), 25, 0.05 * 25);
  EXPECT_NEAR(total.at(quick.get()), 75, 0.05 * 75);
}

TEST(Turns, NobodyIsRidOfWhatItHasUsedByAPause) {
  const auto pausing = std::make_shared<Counted>();
  const auto steady = std::make_shared<Counted>();
  Turns turns = turns_of({pausing, steady});
  pausing->left = 1;
  turns.charge(*turns.next(), 10);
  pausing->left = 0;
  EXPECT_EQ(turns.next(), nullptr);
  pausing->left = steady->left = 1;
  const auto total = used(turns, {{pausing.get(), 0.1}, {steady.get(), 0.1}}, 9);
  EXPECT_EQ(total.count(pausing.get()), 0U);
}

TEST(Turns, NobodySavesUpTimeWhileIdle) {
  const auto busy = std::make_shared<Counted>();
  const auto late = std::make_shared<Counted>();
  Turns turns = turns_of({busy, late});
  busy->left = 1;
  used(turns, {{busy.get(), 0.1}}, 50);
  late->left = 1;
  const auto total = used(turns, {{busy.get(), 0.1}, {late.get(), 0.1}}, 10);
  EXPECT_NEAR(total.at(busy.get()), 5, 0.25);
  EXPECT_NEAR(total.at(late.get()), 5, 0.25);
}

TEST(Turns, EndWhereNobodyHasWork) {
  Turns turns;
  EXPECT_EQ(turns.next(), nullptr);
  const auto taker = std::make_shared<Counted>();
  turns.add(taker);
  EXPECT_FALSE(turns.has_work());
  EXPECT_EQ(turns.next(), nullptr);
  taker->left = 1;
  EXPECT_TRUE(turns.has_work());
  EXPECT_EQ(turns.next(), taker);
  turns.remove(*taker);
  EXPECT_FALSE(turns.has_work());
}

/// A job that records the number of turns before it ran.
class AskingJob : public Job {
 public:
  AskingJob(const Counted& taker, std::promise<int>& answer) : taker_(taker), answer_(answer) {}
  void run() override { answer_.set_value(taker_.taken); }
  void finished(std::unique_ptr<Job> /*self*/) override {}

 private:
  const Counted& taker_;
  std::promise<int>& answer_;
};

TEST(EngineTurns, ComeBetweenJobs) {
  Engine engine("cpu", {1, false});
  const auto taker = std::make_shared<Counted>(1, milliseconds(20));
  engine.add(taker);
  taker->left = 1000;
  engine.wake();
  std::this_thread::sleep_for(milliseconds(50));
  std::promise<int> first;
  std::promise<int> second;
  const int before = taker->taken;
  engine.submit(std::make_unique<AskingJob>(*taker, first));
  engine.submit(std::make_unique<AskingJob>(*taker, second));
  const int at_first = first.get_future().get();
  const int at_second = second.get_future().get();
  EXPECT_LE(at_first - before, 1);
  EXPECT_EQ(at_second - at_first, 1);
  engine.join();
  EXPECT_EQ(taker->ended, ErrorCode::kClosed);
}

/// A taker that has work at the first look, and none when its turn comes.
class Fickle : public Counted {
 public:
  [[nodiscard]] bool has_work() const override { return looks_++ % 2 == 0; }

 private:
  mutable std::atomic<int> looks_{0};
};

TEST(EngineTurns, AreReckonedByWhatTheySayTheyHaveUsed) {
  Engine engine("cpu", {1, false});
  const auto cheap = std::make_shared<Counted>();
  const auto dear = std::make_shared<Counted>();
  cheap->charged = 1;
  dear->charged = 9;
  cheap->left = dear->left = 100000;
  engine.add(cheap);
  engine.add(dear);
  engine.wake();
  while (cheap->taken + dear->taken < 1000) std::this_thread::yield();
  cheap->left = dear->left = 0;
  EXPECT_NEAR(cheap->taken, 9.0 * dear->taken, 20);
}

TEST(EngineTurns, BringTheirWorkToAnEndBeforeAJob) {
  Engine engine("cpu", {1, false});
  const auto taker = std::make_shared<Counted>();
  engine.add(taker);
  std::promise<int> answer;
  engine.submit(std::make_unique<AskingJob>(*taker, answer));
  static_cast<void>(answer.get_future().get());
  EXPECT_EQ(taker->settled, 1);
}

TEST(EngineTurns, AreLeftWhenTheWorkIsGone) {
  Engine engine("cpu", {1, false});
  const auto fickle = std::make_shared<Fickle>();
  engine.add(fickle);
  for (int i = 0; i < 20; ++i) {
    engine.wake();
    std::promise<int> answer;
    engine.submit(std::make_unique<AskingJob>(*fickle, answer));
    static_cast<void>(answer.get_future().get());
  }
}

TEST(EngineTurns, LookForWorkThatIsCancelled) {
  Engine engine("cpu", {1, false});
  const auto taker = std::make_shared<Counted>();
  engine.add(taker);
  engine.drop_cancelled();
  EXPECT_EQ(taker->looked, 1);
}

TEST(EngineTurns, EndWithTheEngineOrWhenTheyAreTakenAway) {
  Engine engine("cpu", {1, false});
  const auto removed = std::make_shared<Counted>();
  engine.add(removed);
  engine.remove(*removed);
  removed->left = 1;
  engine.wake();
  const auto kept = std::make_shared<Counted>();
  engine.add(kept);
  engine.join();
  EXPECT_EQ(kept->ended, ErrorCode::kClosed);
  EXPECT_EQ(removed->ended, ErrorCode::kOk);
  EXPECT_EQ(removed->taken, 0);
  const auto late = std::make_shared<Counted>();
  engine.add(late);
  EXPECT_EQ(late->ended, ErrorCode::kClosed);
}

}  // namespace
}  // namespace dpm::test
