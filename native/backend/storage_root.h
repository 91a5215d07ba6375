// The storage of a value that is a range of another value's channels.
#pragma once

#include "backend/backend.h"

namespace dpm {

/// The value whose storage is used, and the first channel in it.
struct StorageRoot {
  int value = -1;
  int first_channel = 0;
};

inline StorageRoot storage_root(const dpm_graph& graph, int value) {
  StorageRoot root{value, 0};
  while (graph.values[root.value].parent >= 0) {
    root.first_channel += graph.values[root.value].channel_offset;
    root.value = graph.values[root.value].parent;
  }
  return root;
}

}  // namespace dpm
