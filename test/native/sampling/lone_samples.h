// The sampling loop for one sample after the other, record by record, with which batches are compared.
#pragma once

#include "sampling/batch_results.h"
#include "sampling/initial_states.h"
#include "sampling/registers.h"
#include "sampling/run_result.h"
#include "sampling/step.h"

namespace dpm::test {

class LoneSample {
 public:
  LoneSample(NetworkEvaluator& evaluator, const RunRequest& request, std::uint32_t sample)
      : request_(request),
        sample_(sample),
        image_(evaluator.shape().image),
        program_(request.samples[sample].program),
        registers_(evaluator.device(), evaluator.shape(), 1),
        step_(evaluator, 1, 2) {
    registers_.provide(true, request.programs[program_].history);
    if (!request.noise.empty()) registers_.provide_noise();
    if (!request.init.empty()) {
      registers_.write(0, 1, request.init.data() + sample * image_);
      return;
    }
    InitialStates initial(1);
    initial.add(0, request, sample);
    initial.draw(evaluator.device(), registers_.views());
  }

  /// Runs the sample, and stores its results in its place of `result`.
  void run(RunResult& result) {
    const std::uint32_t records = request_.programs[program_].count;
    for (std::uint32_t record = 0; record < records; ++record) {
      draw_noise(record);
      step_.evaluate({step_sample(request_, sample_, 0, record, 0)}, registers_.views());
      step_.settle(registers_.views());
      step_.update(registers_.views());
      if (is_due(request_.snapshot_every, record + 1))
        keep(result.snapshots[(record + 1) / request_.snapshot_every - 1].images);
    }
    keep(result.images);
    for (Snapshot& snapshot : result.snapshots) {
      if (snapshot.record > records) keep(snapshot.images);
    }
  }

 private:
  void keep(RunImages& images) const { registers_.download(0, 1, images, sample_ * image_); }

  void draw_noise(std::uint32_t record) {
    if (request_.noise.empty() || !adds_noise(request_.record(program_, record))) return;
    const std::uint64_t slice = std::uint64_t{drawn_++} * request_.samples.size() + sample_;
    registers_.write_noise(0, request_.noise.data() + slice * image_);
  }

  const RunRequest& request_;
  const std::uint32_t sample_;
  const std::uint64_t image_;
  const std::uint32_t program_;
  std::uint32_t drawn_ = 0;
  Registers registers_;
  Step step_;
};

inline RunResult alone(Network& network, const RunRequest& request) {
  NetworkEvaluator evaluator(network);
  evaluator.reserve(2);
  RunResult result = empty_result(request, network.shape().image);
  for (std::uint32_t i = 0; i < request.samples.size(); ++i) LoneSample(evaluator, request, i).run(result);
  return result;
}

}  // namespace dpm::test
