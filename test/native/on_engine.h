// Work on an engine's own thread.
#pragma once

#include <future>
#include <memory>

#include "core/error.h"
#include "engine/engine.h"

namespace dpm::test {

/// Runs `body` after all queued jobs, and waits for it. Throws the Error of `body`.
template <typename Body>
void on_engine(Engine& engine, Body body) {
  class BodyJob : public Job {
   public:
    BodyJob(Body own, std::promise<void>& done) : body_(std::move(own)), done_(done) {}
    void run() override { body_(); }
    void finished(std::unique_ptr<Job> self) override {
      std::promise<void>& done = done_;
      const bool is_fine = error == ErrorCode::kOk;
      const auto failure = is_fine ? nullptr : std::make_exception_ptr(Error(error, message));
      self.reset();
      if (is_fine) {
        done.set_value();
      } else {
        done.set_exception(failure);
      }
    }

   private:
    Body body_;
    std::promise<void>& done_;
  };
  std::promise<void> done;
  auto waited = done.get_future();
  engine.submit(std::make_unique<BodyJob>(std::move(body), done));
  waited.get();
}

}  // namespace dpm::test
