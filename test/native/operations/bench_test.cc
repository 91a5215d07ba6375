#include "operations/bench.h"

#include <gtest/gtest.h>

#include <regex>
#include <sstream>

#include "graph_runner.h"

namespace dpm::test {
namespace {

TEST(OperationBench, PrintsALineForEachLargeCase) {
  std::ostringstream out;
  bench({"--bench", "--operation", "Resample", "--device", "cpu", "--rounds", "1"}, out);
  EXPECT_TRUE(std::regex_match(out.str(),
                               std::regex("[^\n]+\n(Resample 128x32x32 [012] +[0-9.]+ us +[0-9.]+ (GB|GFLOP)/s\n){3}")))
      << out.str();
}

TEST(OperationBench, RefusesWhatThereIsNot) {
  std::ostringstream out;
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"--bench", "--operation"},
                                                    {"--bench", "--faster", "1"},
                                                    {"--bench", "--operation", "Shear"}})
    EXPECT_EQ(code_of([&] { bench(arguments, out); }), ErrorCode::kArgument);
}

}  // namespace
}  // namespace dpm::test
