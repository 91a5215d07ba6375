// Whoever uses an engine's device between its jobs, a short turn at a time, and whose turn it is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/error.h"

namespace dpm {

/// Takes turns on the engine's thread.
class TurnTaker {
 public:
  /// `weight` is its share of the time among those that have work; above 0.
  explicit TurnTaker(double weight) : weight_(weight) {}
  virtual ~TurnTaker() = default;
  TurnTaker(const TurnTaker&) = delete;
  TurnTaker& operator=(const TurnTaker&) = delete;

  [[nodiscard]] double weight() const { return weight_; }
  /// Whether it wants a turn; from any thread.
  [[nodiscard]] virtual bool has_work() const = 0;
  /// Returns the seconds of the device that it has used, by which its share is reckoned: those of work that has been
  /// queued come with a later turn.
  virtual double take_turn() noexcept = 0;
  /// Somebody else is about to use the device for long: brings to an end what has been queued.
  virtual void settle() noexcept {}
  /// Somebody has lost interest in a piece of its work; from any thread.
  virtual void look_for_cancelled() noexcept = 0;
  /// There are no more turns: its work ends with this error.
  virtual void end(ErrorCode code, const std::string& message) noexcept = 0;

 private:
  const double weight_;
};

/// Start-time fair queueing over measured time: who has had the least of it for its weight comes next, and nobody saves
/// up time while there is nothing to do.
class Turns {
 public:
  void add(std::shared_ptr<TurnTaker> taker) { entries_.push_back({std::move(taker), 0, false}); }
  void remove(const TurnTaker& taker);
  [[nodiscard]] bool has_work() const;
  /// Null where nobody has work.
  [[nodiscard]] std::shared_ptr<TurnTaker> next();
  void charge(const TurnTaker& taker, double seconds);
  void look_for_cancelled() const;
  [[nodiscard]] std::vector<std::shared_ptr<TurnTaker>> all() const;

 private:
  struct Entry {
    std::shared_ptr<TurnTaker> taker;
    double start = 0;  ///< of its next turn: time used over weight
    bool had_work = false;
  };
  std::vector<Entry> entries_;
  /// The start of the last turn.
  double now_ = 0;
};

}  // namespace dpm
