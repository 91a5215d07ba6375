// A file of random weights.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "graph_runner.h"

namespace dpm::test {

/// A file of normals that networks take their weights from; removed at the end.
class WeightFile {
 public:
  static constexpr std::uint64_t kFloats = 1U << 20;

  explicit WeightFile(std::uint64_t floats = kFloats) {
    const std::string name = "dpm-weights-" + std::to_string(floats) + "-" + std::to_string(getpid()) + ".bin";
    path_ = std::filesystem::temp_directory_path() / name;
    RandomValues random(1);
    const auto values = random.normals(floats, 0.1F);
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * 4));
  }
  ~WeightFile() { std::filesystem::remove(path_); }
  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace dpm::test
