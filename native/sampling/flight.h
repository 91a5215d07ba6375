// Samples that are in flight together, and their registers.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/network.h"
#include "sampling/runner.h"

namespace dpm {

class Flight {
 public:
  /// `count` samples of the request from `first` on, in their initial states. The network has been reserved for them.
  Flight(Network& network, const RunRequest& request, std::uint32_t first, std::uint32_t count);

  /// Rows the network sees at once at most with `batch` samples in flight: two of a guided sample.
  static std::uint32_t most_evaluated(const RunRequest& request, std::uint32_t batch);

  /// Hands the programs to the device as one trajectory (dpm_trajectory) if it takes such and the samples go in step.
  /// Whether it did.
  bool begin_trajectory();

  /// Runs the current record of every unfinished sample; returns how many there were.
  std::uint32_t step();

  /// Runs all records of the trajectory without a look at anything in between; returns how many there were.
  std::uint64_t finish_trajectory();

  /// The states from `first` elements on: as floats, or as 8-bit levels if the request wants these.
  void download(RunImages& images, std::uint64_t first) const;

 private:
  [[nodiscard]] const SampleIdentity& sample(std::uint32_t row) const { return request_.samples[first_ + row]; }
  [[nodiscard]] const Program& program(std::uint32_t row) const { return request_.programs[sample(row).program]; }
  [[nodiscard]] const dpm_record& record(std::uint32_t row) const {
    return request_.records[program(row).first + counters_[row]];
  }
  [[nodiscard]] bool evaluates(std::uint32_t row) const { return (record(row).flags & DPM_RECORD_EVALUATE) != 0; }

  /// One row that the network sees.
  struct Asking {
    std::uint32_t row = 0;
    std::int32_t label = -1;
  };

  void allocate();
  std::shared_ptr<Buffer> rows(std::uint64_t elements);
  /// For as many rows as the network may see at once.
  std::shared_ptr<Buffer> evaluated_rows(std::uint64_t elements);
  std::shared_ptr<Buffer> zeroed_rows();
  void draw_initial_states();
  void upload_noise();

  [[nodiscard]] dpm_update_sample update_sample(std::uint32_t row, const dpm_record* record,
                                                std::uint32_t record_index) const;
  /// The sample's current record. Throws Error(kArgument) where noise that is given runs out.
  [[nodiscard]] dpm_update_sample current_sample(std::uint32_t row) const;
  /// The registers of an update, without its samples.
  [[nodiscard]] dpm_update registers() const;

  /// Adds every step's samples to `table`; false when samples of one step differ in whether they ask the network.
  bool list_steps(std::uint32_t steps, std::vector<dpm_update_sample>& table);
  void go_on(std::uint32_t row);
  void rewind();

  /// Lists the rows that ask the network now: first one of every sample, then the unconditional one of the guided.
  void list_asking();
  void evaluate();
  void upload_times();
  void upload_labels();
  /// The state itself where every sample reads the same register unscaled, otherwise a gathered copy.
  dpm_view network_input(bool in_place);
  /// Copies the rows that update_samples_ name.
  void gather(std::uint64_t elements, const dpm_view& x, const dpm_view& y, const dpm_view& destination);
  /// Moves the rows of `compact` that belong to a sample to its row of `full`.
  void scatter(const Buffer& compact, const Buffer& full, std::uint64_t elements);
  /// Mixes the unconditional predictions, behind the others in compact_out_, into out_.
  void guide();
  void update();

  Network& network_;
  const RunRequest& request_;
  const NetworkShape shape_;
  const std::uint32_t first_;
  const std::uint32_t count_;
  const std::uint32_t evaluated_;
  bool in_trajectory_ = false;
  std::uint32_t noise_records_ = 0;
  std::vector<std::uint32_t> counters_;
  std::vector<std::uint32_t> noise_counters_;
  std::vector<std::uint32_t> live_;
  std::vector<Asking> asking_;
  /// How many of asking_ are the samples' own; the others are unconditional.
  std::size_t own_ = 0;
  std::vector<float> times_;
  std::vector<std::int32_t> label_values_;
  std::vector<dpm_update_sample> update_samples_;
  std::vector<dpm_record> guidance_records_;
  std::shared_ptr<Buffer> x_, y_, out_, head_, input_, compact_out_, compact_head_, time_, labels_, noise_;
  std::vector<std::shared_ptr<Buffer>> history_;
};

}  // namespace dpm
