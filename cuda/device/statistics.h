// Statistics of a device's work, which may be read while another thread does that work.
#pragma once

#include <mutex>

#include "backend/backend.h"
#include "cuda/products/products.h"

namespace dpm::cuda {

class Statistics {
 public:
  void count_capture(std::size_t nodes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++counted_.captured_graphs;
    counted_.graph_nodes = nodes;
  }
  void count_failed_capture() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++counted_.failed_captures;
  }

  void note(const ProductsStatistics& products) {
    const std::lock_guard<std::mutex> lock(mutex_);
    counted_.plans = products.plans;
    counted_.refused_plans = products.refused;
    counted_.planning_seconds = products.seconds;
  }

  [[nodiscard]] dpm_statistics read() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return counted_;
  }

 private:
  mutable std::mutex mutex_;
  dpm_statistics counted_{};
};

}  // namespace dpm::cuda
