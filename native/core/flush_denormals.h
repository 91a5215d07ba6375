// Treats subnormal numbers as zero on the current thread during its lifetime. Such numbers carry no information in a
// network, and each operation on one costs a trap into microcode: a hundred times its normal price.
#pragma once

#include <cstdint>

#include "platform/processor.h"

namespace dpm {

class FlushDenormals {
 public:
  FlushDenormals() : saved_(platform::float_control()) {
    platform::set_float_control(saved_ | platform::kFlushSubnormals);
  }
  ~FlushDenormals() { platform::set_float_control(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  std::uint64_t saved_;
};

}  // namespace dpm
