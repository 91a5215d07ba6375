// Remembers on disk which plan was chosen for a problem.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>

#include "cuda/dnn/library.h"

namespace dpm::cuda {

/// Choices for one card and one cuDNN version, kept in a text file that all cards and versions share: one choice
/// a line, `version <tab> card <tab> key <tab> choice`. Whatever the file holds, a choice is only a proposal: it
/// is tried by cuDNN before it is used. Calls from several threads are safe.
class PlanCache {
 public:
  /// `folder` need not exist; empty keeps everything in memory only. Reads the file; one that cannot be read, is
  /// no regular file or is larger than 8 MiB counts as empty, and malformed lines are skipped.
  PlanCache(std::string folder, std::string card, std::size_t cudnn_version);

  /// The choice stored for `key`, or empty.
  [[nodiscard]] std::string find(const std::string& key) const;

  /// Keeps a choice in memory. Keys and choices that are empty, longer than 512 bytes or not printable ASCII
  /// without spaces are not kept.
  void store(const std::string& key, const std::string& choice);

  /// Writes what was stored, together with what others wrote meanwhile, if anything is new. A reader sees the old
  /// file or the new one, never a part. False when it could not be written, which costs time later but is no
  /// error.
  bool save();

 private:
  std::string folder_;
  std::string prefix_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> choices_;
  bool changed_ = false;
};

/// $XDG_CACHE_HOME/dpm-native, else $HOME/.cache/dpm-native, else empty.
std::string plan_cache_folder(const Environment& environment);

}  // namespace dpm::cuda
