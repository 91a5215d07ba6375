// Checks of a device by the table of operations (operations/operations.h).
#pragma once

#include <cstdint>
#include <limits>
#include <ostream>
#include <string>

#include "operations/operations.h"

namespace dpm::test {

/// A device, and the limits of the cases that it is fast enough for.
struct CheckedDevice {
  std::string name;                                                         ///< name for Device::open
  std::string isa = {};                                                     ///< instruction set of the CPU
  int cases = 1000;                                                         ///< maximum of cases of a family
  std::uint64_t most_products = std::numeric_limits<std::uint64_t>::max();  ///< maximum of multiply-adds of a case
  bool is_emulated = false;                                                 ///< emulated GPU: the parts that its
                                                                            ///< products compute are varied
};

// Prints an operation in messages.
inline std::ostream& operator<<(std::ostream& out, const Operation& operation) { return out << operation.name; }
inline std::ostream& operator<<(std::ostream& out, const CheckedDevice& device) {
  return out << device.name << ' ' << device.isa;
}

/// Checks the values in every type that the device computes in, fused and as the graph was written, against the
/// reference device. The reference device is checked against its own result of the fused graph.
void check_values(const Operation& operation, const CheckedDevice& device);

/// Checks J^T v and J u of every case against the reference device's, and that <J^T v, u> = <v, J u>. The reference
/// device's own J u is compared with differences instead. Graphs without a derivative have to be refused by name.
void check_derivatives(const Operation& operation, const CheckedDevice& device);

/// Checks that a sample's result on the CPU has the same bits for any batch and number of threads.
void check_independence(const Operation& operation, const CheckedDevice& device);

}  // namespace dpm::test
