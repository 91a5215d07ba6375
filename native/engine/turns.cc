#include "engine/turns.h"

#include <algorithm>

namespace dpm {

void Turns::remove(const TurnTaker& taker) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.taker.get() == &taker; });
}

bool Turns::has_work() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.taker->has_work(); });
}

std::shared_ptr<TurnTaker> Turns::next() {
  Entry* first = nullptr;
  for (Entry& entry : entries_) {
    const bool has_work = entry.taker->has_work();
    if (has_work && !entry.had_work) entry.start = std::max(entry.start, now_);
    entry.had_work = has_work;
    if (has_work && (first == nullptr || entry.start < first->start)) first = &entry;
  }
  if (first == nullptr) return nullptr;
  now_ = first->start;
  return first->taker;
}

void Turns::charge(const TurnTaker& taker, double seconds) {
  for (Entry& entry : entries_) {
    if (entry.taker.get() == &taker) entry.start += seconds / taker.weight();
  }
}

void Turns::look_for_cancelled() const {
  for (const Entry& entry : entries_) entry.taker->look_for_cancelled();
}

std::vector<std::shared_ptr<TurnTaker>> Turns::all() const {
  std::vector<std::shared_ptr<TurnTaker>> takers;
  takers.reserve(entries_.size());
  for (const Entry& entry : entries_) takers.push_back(entry.taker);
  return takers;
}

}  // namespace dpm
