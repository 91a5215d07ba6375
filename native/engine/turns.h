// Users of an engine's device between its jobs, a short turn at a time, and the order of their turns.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/error.h"

namespace dpm {

/// A user of the device that takes turns on the engine's thread.
class TurnTaker {
 public:
  /// Sets `weight`, above 0: the share of the time among takers that have work.
  explicit TurnTaker(double weight) : weight_(weight) {}
  virtual ~TurnTaker() = default;
  TurnTaker(const TurnTaker&) = delete;
  TurnTaker& operator=(const TurnTaker&) = delete;

  [[nodiscard]] double weight() const { return weight_; }
  /// Returns whether it wants a turn; callable from any thread.
  [[nodiscard]] virtual bool has_work() const = 0;
  /// Takes a turn and returns the seconds of the device that it has used, which count towards its share. Seconds of
  /// queued work are returned by a later turn.
  virtual double take_turn() noexcept = 0;
  /// Finishes queued work, because another user is about to use the device for long.
  virtual void settle() noexcept {}
  /// Looks for cancelled work at the next turn; callable from any thread.
  virtual void look_for_cancelled() noexcept = 0;
  /// Ends its work with this error, because there are no more turns.
  virtual void end(ErrorCode code, const std::string& message) noexcept = 0;

 private:
  const double weight_;
};

/// Start-time fair queueing over measured time: the taker with the least time for its weight comes next, and idle
/// takers save up no time.
class Turns {
 public:
  void add(std::shared_ptr<TurnTaker> taker) { entries_.push_back({std::move(taker), 0, false}); }
  void remove(const TurnTaker& taker);
  [[nodiscard]] bool has_work() const;
  /// Returns the taker of the next turn; null where none has work.
  [[nodiscard]] std::shared_ptr<TurnTaker> next();
  void charge(const TurnTaker& taker, double seconds);
  void look_for_cancelled() const;
  [[nodiscard]] std::vector<std::shared_ptr<TurnTaker>> all() const;

 private:
  struct Entry {
    std::shared_ptr<TurnTaker> taker;
    double start = 0;  ///< start of its next turn: time used divided by weight
    bool had_work = false;
  };
  std::vector<Entry> entries_;
  /// Start of the last turn.
  double now_ = 0;
};

}  // namespace dpm
