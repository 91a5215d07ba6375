// Registers of a few samples with the same contents on any device, and comparisons of devices' results on them.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "graph_runner.h"
#include "random_record.h"

namespace dpm::test {

constexpr int kRows = 3;

struct Registers {
  Registers(const std::shared_ptr<Device>& device, std::uint64_t elements, std::uint32_t seed) : elements(elements) {
    RandomValues random(seed);
    for (auto* buffer : {&x, &y, &out, &head, &noise}) *buffer = filled(device, random);
    for (auto& slot : history) slot = filled(device, random);
    guide = filled(device, random);
  }

  std::shared_ptr<Buffer> filled(const std::shared_ptr<Device>& device, RandomValues& random) const {
    const auto values = random.normals(kRows * elements);
    auto buffer = device->allocate(values.size() * sizeof(float));
    buffer->upload(0, values.data(), buffer->bytes());
    return buffer;
  }

  [[nodiscard]] dpm_update request(bool explicit_noise) const {
    dpm_update update{};
    update.elements = elements;
    update.x = x->view(elements);
    update.y = y->view(elements);
    update.out = out->view(elements);
    update.head = head->view(elements);
    update.guide = guide->view(elements);
    if (explicit_noise) update.noise = noise->view(elements);
    for (int j = 0; j < DPM_MAX_HISTORY; ++j) update.history[j] = history[j]->view(elements);
    return update;
  }

  [[nodiscard]] std::vector<float> contents() const {
    std::vector<float> all;
    for (const auto& buffer :
         {x, y, history[0], history[1], history[2], history[3], history[4], history[5], history[6], history[7]}) {
      std::vector<float> values(kRows * elements);
      buffer->download(0, values.data(), buffer->bytes());
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }

  std::uint64_t elements;
  std::shared_ptr<Buffer> x, y, out, head, guide, noise;
  std::shared_ptr<Buffer> history[DPM_MAX_HISTORY];
};

/// Returns the largest relative difference between the results of a device and the reference device for `trials` random
/// updates.
inline double update_difference(const std::shared_ptr<Device>& device, std::uint32_t trials) {
  const auto reference = Device::open("reference", {});
  double worst = 0;
  for (std::uint32_t trial = 0; trial < trials; ++trial) {
    RandomValues random(trial);
    const std::uint64_t elements = trial % 4 == 0 ? 9000 + trial : static_cast<std::uint64_t>(random.between(1, 1300));
    const Registers expected(reference, elements, trial);
    const Registers actual(device, elements, trial);
    dpm_record records[kRows];
    std::vector<dpm_update_sample> samples;
    for (std::uint32_t n = 0; n < kRows; ++n) {
      records[n] = random_record(random, true);
      samples.push_back({&records[n], n, n, n, 77 + n, 5, 9 * n, trial, n});
    }
    for (const Registers* registers : {&expected, &actual}) {
      dpm_update update = registers->request(trial % 3 == 0);
      update.batch = kRows;
      update.samples = samples.data();
      (registers == &expected ? reference : device)->update(update);
    }
    const double difference = relative_difference(actual.contents(), expected.contents());
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

/// Returns the largest difference for every kind of reduction.
inline double reduce_difference(const std::shared_ptr<Device>& device) {
  const auto reference = Device::open("reference", {});
  double worst = 0;
  for (std::uint32_t kind = 0; kind < 4; ++kind) {
    double expected[kRows];
    double actual[kRows];
    for (double* results : {expected, actual}) {
      const auto& owner = results == expected ? reference : device;
      const Registers registers(owner, 777, 12);
      owner->reduce({kind, kRows, 777, registers.x->view(777), registers.y->view(777), results});
    }
    for (int n = 0; n < kRows; ++n) {
      worst = std::max(worst, std::abs(actual[n] - expected[n]) / std::max(1.0, std::abs(expected[n])));
    }
  }
  return worst;
}

}  // namespace dpm::test
