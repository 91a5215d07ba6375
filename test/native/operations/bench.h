// A benchmark of operations: a line for each large case of the table.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace dpm::test {

/// Runs `--bench [--device NAME] [--operation NAME] [--rounds N]` and prints median times to `out`. Misuse throws
/// Error(kArgument).
void bench(const std::vector<std::string>& arguments, std::ostream& out);

}  // namespace dpm::test
