// The functions of a register tile, one per number of its rows.
#pragma once

#include "devices/cpu/isa/vector.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {

/// A table of `Kernel::run<rows, Vectors>` for 1 to kTileRows rows, rows - 1 being the index.
template <typename Kernel, int Vectors, int Count = kTileRows, int... Rows>
struct RowTable : RowTable<Kernel, Vectors, Count - 1, Count, Rows...> {};

template <typename Kernel, int Vectors, int... Rows>
struct RowTable<Kernel, Vectors, 0, Rows...> {
  static constexpr typename Kernel::Function kFunctions[] = {Kernel::template run<Rows, Vectors>...};
};

/// Returns the function of a tile of `rows` rows and one vector or two.
template <typename Kernel>
typename Kernel::Function for_rows(int rows, int vectors) {
  return (vectors == 2 ? RowTable<Kernel, 2>::kFunctions : RowTable<Kernel, 1>::kFunctions)[rows - 1];
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
