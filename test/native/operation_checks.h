// How the table of operations (operations/operations.h) checks a device.
#pragma once

#include <cstdint>
#include <limits>
#include <ostream>
#include <string>

#include "operations/operations.h"

namespace dpm::test {

/// A device, and how many cases it is fast enough for.
struct CheckedDevice {
  std::string name;                                                         ///< as Device::open takes it
  std::string isa = {};                                                     ///< of the CPU
  int cases = 1000;                                                         ///< at most of a family
  std::uint64_t most_products = std::numeric_limits<std::uint64_t>::max();  ///< multiply-adds of a case
  bool is_emulated = false;                                                 ///< a card: what its products do is varied
};

// For messages.
inline std::ostream& operator<<(std::ostream& out, const Operation& operation) { return out << operation.name; }
inline std::ostream& operator<<(std::ostream& out, const CheckedDevice& device) {
  return out << device.name << ' ' << device.isa;
}

/// Every type that the device computes in, fused and as the graph was written, against the reference device. The
/// reference device itself against what it computes of the fused graph.
void check_values(const Operation& operation, const CheckedDevice& device);

/// J^T v and J u of every case against the reference device's, and that <J^T v, u> = <v, J u>. The reference device's
/// own J u is compared with differences instead. Graphs without a derivative have to be refused by name.
void check_derivatives(const Operation& operation, const CheckedDevice& device);

/// A sample's result on the CPU is equal to the bit whatever the batch and the number of threads.
void check_independence(const Operation& operation, const CheckedDevice& device);

}  // namespace dpm::test
