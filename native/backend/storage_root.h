// Where a value that is a range of channels of another one lies.
#pragma once

#include "backend/backend.h"

namespace dpm {

/// The value whose storage it uses, and its first channel in that.
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
