#include "cuda/dnn/plan_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "temporary_folder.h"

namespace dpm::cuda {
namespace {

constexpr std::size_t kVersion = 92801;
constexpr std::size_t kMostBytes = std::size_t{8} << 20;

std::string file_of(const std::string& folder) { return folder + "/cudnn-plans.txt"; }

void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(PlanCache, GivesBackWhatWasStored) {
  const TemporaryFolder folder;
  const std::string nested = folder.path() + "/not/there/yet";
  PlanCache cache(nested, "NVIDIA H100 80GB HBM3", kVersion);
  EXPECT_EQ(cache.find("a"), "");
  cache.store("a", "15/3:1=2");
  EXPECT_EQ(cache.find("a"), "15/3:1=2");
  ASSERT_TRUE(cache.save());
  EXPECT_EQ(PlanCache(nested, "NVIDIA H100 80GB HBM3", kVersion).find("a"), "15/3:1=2");
  EXPECT_EQ(read(file_of(nested)), "92801\tNVIDIA_H100_80GB_HBM3\ta\t15/3:1=2\n");
}

TEST(PlanCache, KeepsCardsAndVersionsApart) {
  const TemporaryFolder folder;
  PlanCache first(folder.path(), "one", kVersion);
  first.store("a", "1");
  PlanCache second(folder.path(), "two", kVersion);
  second.store("a", "2");
  PlanCache third(folder.path(), "one", kVersion + 1);
  third.store("a", "3");
  ASSERT_TRUE(first.save() && second.save() && third.save());
  EXPECT_EQ(PlanCache(folder.path(), "one", kVersion).find("a"), "1");
  EXPECT_EQ(PlanCache(folder.path(), "two", kVersion).find("a"), "2");
  EXPECT_EQ(PlanCache(folder.path(), "one", kVersion + 1).find("a"), "3");
}

TEST(PlanCache, KeepsWhatAnotherProcessWroteMeanwhile) {
  const TemporaryFolder folder;
  PlanCache first(folder.path(), "card", kVersion);
  PlanCache second(folder.path(), "card", kVersion);
  first.store("a", "1");
  second.store("b", "2");
  ASSERT_TRUE(first.save() && second.save());
  const PlanCache both(folder.path(), "card", kVersion);
  EXPECT_EQ(both.find("a"), "1");
  EXPECT_EQ(both.find("b"), "2");
}

TEST(PlanCache, LeavesNoTemporaryFile) {
  const TemporaryFolder folder;
  PlanCache cache(folder.path(), "card", kVersion);
  cache.store("a", "1");
  ASSERT_TRUE(cache.save());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(PlanCache, SkipsMalformedLines) {
  const TemporaryFolder folder;
  const std::string own = "92801\tcard\t";
  write(file_of(folder.path()), own + "good\t1\n" + own + "\n" + own + "nochoice\n" + own + "\t5\n" + own +
                                    "empty\t\n" + own + "two words\t1\n" + own + "extra\t1\t2\n" + own +
                                    std::string(600, 'k') + "\t1\n" + own + "control\t1\x01\n" +
                                    std::string("\0\n\t\t\t\t\n", 7) + own + "unfinished\t1");
  PlanCache cache(folder.path(), "card", kVersion);
  EXPECT_EQ(cache.find("good"), "1");
  for (const char* key : {"", "nochoice", "empty", "two words", "extra", "control", "unfinished"}) {
    EXPECT_EQ(cache.find(key), "") << key;
  }
  cache.store("new", "2");
  ASSERT_TRUE(cache.save());
  EXPECT_EQ(read(file_of(folder.path())), own + "good\t1\n" + own + "new\t2\n");
}

TEST(PlanCache, AnOversizedFileCountsAsEmptyAndIsReplaced) {
  const TemporaryFolder folder;
  std::string text;
  while (text.size() <= kMostBytes) text += "92801\tcard\ta\t1\n";
  write(file_of(folder.path()), text);
  PlanCache cache(folder.path(), "card", kVersion);
  EXPECT_EQ(cache.find("a"), "");
  cache.store("b", "2");
  ASSERT_TRUE(cache.save());
  EXPECT_EQ(PlanCache(folder.path(), "card", kVersion).find("b"), "2");
}

TEST(PlanCache, NeverWritesMoreThanItReads) {
  const TemporaryFolder folder;
  PlanCache cache(folder.path(), "card", kVersion);
  for (int i = 0; i < 20000; ++i) cache.store(std::to_string(i) + std::string(480, 'k'), "1");
  ASSERT_TRUE(cache.save());
  EXPECT_LE(std::filesystem::file_size(file_of(folder.path())), kMostBytes);
  EXPECT_EQ(PlanCache(folder.path(), "card", kVersion).find("0" + std::string(480, 'k')), "1");
}

TEST(PlanCache, APipeOrFolderInTheFilesPlaceCountsAsEmpty) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo(file_of(folder.path()).c_str(), 0600), 0);
  EXPECT_EQ(PlanCache(folder.path(), "card", kVersion).find("a"), "");
  const TemporaryFolder other;
  std::filesystem::create_directory(file_of(other.path()));
  PlanCache blocked(other.path(), "card", kVersion);
  blocked.store("a", "1");
  EXPECT_FALSE(blocked.save());
  EXPECT_EQ(blocked.find("a"), "1");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(other.path()), {}), 1);
}

TEST(PlanCache, AFolderThatCannotBeMadeIsReported) {
  PlanCache cache("/proc/dpm-native", "card", kVersion);
  EXPECT_TRUE(cache.save()) << "nothing to write";
  cache.store("a", "1");
  EXPECT_FALSE(cache.save());
}

TEST(PlanCache, WithoutAFolderEverythingStaysInMemory) {
  PlanCache cache("", "card", kVersion);
  cache.store("a", "1");
  EXPECT_TRUE(cache.save());
  EXPECT_EQ(cache.find("a"), "1");
}

TEST(PlanCacheFolder, FollowsTheCacheVariables) {
  const auto folder = [](const std::string& cache, const std::string& home) {
    return plan_cache_folder([&](const std::string& name) { return name == "HOME" ? home : cache; });
  };
  EXPECT_EQ(folder("/c", "/h"), "/c/dpm-native");
  EXPECT_EQ(folder("", "/h"), "/h/.cache/dpm-native");
  EXPECT_EQ(folder("relative", "/h"), "/h/.cache/dpm-native");
  EXPECT_EQ(folder("", ""), "");
}

}  // namespace
}  // namespace dpm::cuda
