// The plans that were chosen for problems, remembered on disk.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>

#include "cuda/dnn/library.h"

namespace dpm::cuda {

/// Choices for one GPU and one cuDNN version, kept in a text file that all GPUs and versions share: one choice per
/// line, `version <tab> card <tab> key <tab> choice`. Whatever the file holds, a choice is only a proposal: cuDNN tries
/// it before it is used. Calls from several threads are safe.
class PlanCache {
 public:
  /// Reads the file in `folder`, which need not exist; an empty name keeps everything in memory only. A file that
  /// cannot be read, is no regular file or is larger than 8 MiB counts as empty, and malformed lines are skipped.
  PlanCache(std::string folder, std::string card, std::size_t cudnn_version);

  /// Returns the choice stored for `key`, or empty.
  [[nodiscard]] std::string find(const std::string& key) const;

  /// Stores a choice in memory. Keys and choices that are empty, longer than 512 bytes or not printable ASCII without
  /// spaces are ignored.
  void store(const std::string& key, const std::string& choice);

  /// Writes the stored choices, together with those that other processes wrote meanwhile, if any is new. A reader sees
  /// the old file or the new one, never a part. Returns false when it could not be written, which costs time later but
  /// is no error.
  bool save();

 private:
  std::string folder_;
  std::string prefix_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> choices_;
  bool changed_ = false;
};

/// Returns $XDG_CACHE_HOME/dpm-native, else $HOME/.cache/dpm-native, else empty.
std::string plan_cache_folder(const Environment& environment);

}  // namespace dpm::cuda
